import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "../../..");
const page = readFileSync(join(root, "CONTRIBUTING.md"), "utf8");

/** `src/run/gate.ts  askGate` in a diagram, or each in backticks of its own. */
const NAMED = /\b((?:src|shims|assembly)\/[\w/-]+\.ts)(?:` `|[ \t]+)([a-z_][\w.]*)/g;

describe("the way of a path in CONTRIBUTING.md", () => {
  const named = [...page.matchAll(NAMED)].map(({ 1: file = "", 2: name = "" }) => [file, name]);

  it("names many functions", () => expect(named.length).toBeGreaterThan(20));

  it.each(named)("%s has %s", (file, name) => {
    expect(existsSync(join(root, file)), file).toBe(true);
    const text = readFileSync(join(root, file), "utf8");
    const own = name.split(".").at(-1);
    expect(new RegExp(`\\b${own}\\b`).test(text)).toBe(true);
  });

  const files = page.match(/\b(?:src|shims|assembly|test|bench|scripts)\/[\w/.-]+\.\w+/g) ?? [];
  it.each([...new Set(files)])("%s is there", (file) => {
    expect(existsSync(join(root, file))).toBe(true);
  });
});
