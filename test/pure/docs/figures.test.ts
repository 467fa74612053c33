import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { sectionsOf } from "./bench-tables.ts";
import { type Exception, patternOf, problemsOf } from "./trace.ts";

const root = join(import.meta.dirname, "../../..");
const read = (file: string) => readFileSync(join(root, file), "utf8");

const GUIDES = readdirSync(join(root, "docs/guides"))
  .filter((name) => name.endsWith(".md"))
  .map((name) => `docs/guides/${name}`);
const PAGES = ["README.md", "CHANGELOG.md", ...GUIDES].map((file) => ({ file, text: read(file) }));

/** Each has to be on its page. */
const NOT_MEASURED: readonly Exception[] = [
  {
    file: "CHANGELOG.md",
    phrase: "every 10 ms",
    reason: "a setting: TRUE_MS of src/memory/memory-watch.ts",
  },
];

const sections = sectionsOf(read("bench/README.md"));

describe("the pages", () => {
  test.each(PAGES)("have each figure of $file from a bench", (page) => {
    expect(problemsOf(page, sections, NOT_MEASURED)).toEqual([]);
  });

  test("have the figures that no bench measures", () => {
    const gone = NOT_MEASURED.filter(
      (exception) =>
        !PAGES.some(({ file, text }) => file === exception.file && patternOf(exception).test(text)),
    );
    expect(gone).toEqual([]);
  });

  test("have what is read of the benches' page", () => {
    const [table] = sections.get("first-token") ?? [];
    expect(table?.title).toBe("A decode-like reader in a fresh process");
    expect(table?.columns.map(({ unit }) => unit.kind)).toEqual([
      ...["time", "time"],
      ...["ratio", "ratio", "ratio"],
    ]);
  });
});
