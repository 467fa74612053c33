import { afterEach, describe, expect, test, vi } from "vitest";
import { makeScratch, takeScratch } from "../../../src/plan/scratch.ts";

afterEach(() => vi.unstubAllGlobals());

describe("the memory that planning works in", () => {
  test("is as large as the plan", () => {
    expect(makeScratch(1).buffer.byteLength).toBe(65_536);
    expect(makeScratch(65_537).buffer.byteLength).toBe(131_072);
  });

  test("cannot grow, so that it takes no more of the address space than the plan does", () => {
    const memory = vi.fn(class extends WebAssembly.Memory {});
    vi.stubGlobal("WebAssembly", { ...namesOf(WebAssembly), Memory: memory });
    makeScratch(3 * 65_536);
    expect(memory).toHaveBeenCalledWith({ initial: 4, maximum: 4, shared: true });
  });

  test("is used again by the next plan when it was small", () => {
    const small = takeScratch(100);
    expect(takeScratch(200)).toBe(small);
    const large = takeScratch(2 ** 23);
    expect(large.buffer.byteLength).toBe(2 ** 23);
    expect(takeScratch(100)).toBe(small);
  });

  test.each([
    ["there is no WebAssembly", undefined],
    [
      "no memory can be had",
      {
        Memory: class {
          constructor() {
            throw new RangeError("could not allocate memory");
          }
        },
      },
    ],
  ])("is TypeScript's own where %s", (_, webAssembly) => {
    vi.stubGlobal("WebAssembly", webAssembly);
    const { buffer, kernels } = makeScratch(100);
    expect(buffer).toBeInstanceOf(ArrayBuffer);
    expect(kernels.merge_regions(0, 0, 4096)).toBe(0);
  });
});

function namesOf(namespace: object): object {
  return Object.fromEntries(
    Object.getOwnPropertyNames(namespace).map((name) => [name, Reflect.get(namespace, name)]),
  );
}
