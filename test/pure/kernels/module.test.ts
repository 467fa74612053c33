import { describe, expect, test } from "vitest";
import { KERNELS_BASE64 } from "../../../src/kernels/kernels.generated.ts";
import { sectionNames } from "../../helpers/wasm-sections.ts";

const wasm = Buffer.from(KERNELS_BASE64, "base64");

describe("the kernels' module", () => {
  // Many instances share one memory: whatever an instance brings along would be written by each.
  test("has no state of its own: no global, table, start, element or data section", () => {
    expect(sectionNames(wasm)).toEqual(["type", "import", "function", "export", "code"]);
  });

  test("imports the memory and nothing else", () => {
    expect(WebAssembly.Module.imports(new WebAssembly.Module(wasm))).toEqual([
      { module: "env", name: "memory", kind: "memory" },
    ]);
  });

  test("exports the kernels, and the memory it was given", () => {
    const names = WebAssembly.Module.exports(new WebAssembly.Module(wasm)).map(({ name }) => name);
    expect(names.sort()).toEqual([
      "cut_chunks",
      "memory",
      "merge_regions",
      "sort_regions",
      "touch_pages",
    ]);
  });

  test("refuses a memory that is not shared", () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 65_536 });
    const module = new WebAssembly.Module(wasm);
    expect(() => new WebAssembly.Instance(module, { env: { memory } })).toThrow(
      WebAssembly.LinkError,
    );
  });
});
