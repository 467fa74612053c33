import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");

/**
 * From the top down; a line may import from its own and from those below it. A folder stands for all
 * its files. Something new needs a place here.
 */
const LAYERS: readonly (readonly string[])[] = [
  ["src/cli"],
  ["src/index.ts"],
  ["src/integrations"],
  ["src/server"],
  ["src/keep"],
  ["src/mapped"],
  ["src/run"],
  ["src/beside"],
  ["src/hold"],
  ["src/residency"],
  ["src/options.ts", "src/target"],
  ["src/sweep"],
  ["src/fill"],
  ["src/launch", "src/experts"],
  ["src/passes"],
  ["src/model", "src/arena"],
  ["src/plan", "src/memory"],
  ["src/kernels", "src/file", "src/abortable.ts"],
  ["shims"],
  ["src/errors.ts", "src/control", "src/gate.ts"],
  ["src/units.ts", "src/guarded.ts", "src/turn-if-due.ts"],
  ["src/describe.ts", "src/kill-switch.ts"],
];

const sources = ["src", "shims"].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(folder, name)),
);

const textOf = (file: string) => readFileSync(join(root, file), "utf8");

/** Comments do not import, nor do they ask which platform this is. */
const codeOf = (file: string) => textOf(file).replace(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*/g, "");

function importsOf(file: string): string[] {
  return [...codeOf(file).matchAll(/(?:from|import\()\s*"(\.[^"]+)"/g)].map(([, path = ""]) =>
    relative(root, join(root, dirname(file), path)),
  );
}

const layerOf = (file: string): number =>
  LAYERS.findIndex((layer) => layer.some((part) => file === part || file.startsWith(`${part}/`)));

describe("the source", () => {
  test("has a place among the layers, each file of it", () => {
    expect(sources.length).toBeGreaterThan(100);
    expect(sources.filter((file) => layerOf(file) < 0)).toEqual([]); // else give it one in LAYERS
  });

  test("imports from its own layer and those below", () => {
    const up = sources.flatMap((file) =>
      importsOf(file)
        .filter((imported) => layerOf(imported) < layerOf(file))
        .map((imported) => `${file} from ${imported}`),
    );
    expect(up).toEqual([]);
  });

  test("is not imported in a circle", () => {
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(" → "));
      else if (!done.has(file)) {
        for (const imported of importsOf(file)) visit(imported, [...path, file]);
        done.add(file);
      }
    };
    for (const file of sources) visit(file, []);
    expect(circles).toEqual([]);
  });

  test("asks which platform this is in one place", () => {
    const asking = sources.filter((file) => /process\.platform|platform\(\)/.test(codeOf(file)));
    expect(asking).toEqual(["shims/index.ts"]);
  });

  // Electron refuses buffers over memory that is not V8's own.
  test("wraps no foreign memory in a buffer", () => {
    const wrapping = sources.filter((file) => /koffi\.(view|decode)\b/.test(codeOf(file)));
    expect(wrapping).toEqual([]);
  });

  test("sees koffi in one file", () => {
    expect(sources.filter((file) => /from "koffi"/.test(codeOf(file)))).toEqual(["shims/libc.ts"]);
  });

  test("has a table of contents without logic for an entry", () => {
    const code = codeOf("src/index.ts").replace(/export (type )?\{[^}]*\} from "[^"]+";/g, "");
    expect(code.trim()).toBe("");
  });
});

test("the import pattern sees every kind of import there is", () => {
  expect(importsOf("src/arena/arena.ts")).toContain("shims/index.ts");
  expect(importsOf("shims/index.ts")).toContain("shims/linux.ts");
});
