import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { arbitraryRegions } from "../../helpers/arbitrary-regions.ts";
import { type Region, sortRegions } from "../../helpers/kernel-twins.ts";
import {
  KERNEL_KINDS,
  REGION_BYTES,
  RegionMemory,
  UNTOUCHED,
} from "../../helpers/region-memory.ts";

describe.each(KERNEL_KINDS)("in %s", (kind) => {
  const memory = new RegionMemory(kind);
  beforeEach(() => memory.clear());

  /** Not at 0, so that an address that is taken for an index shows. */
  const AT = 1024;

  /** At the end of the scratch space. */
  const COUNTERS_BYTES = 1024;

  function sortInMemory(regions: readonly Region[]): Region[] {
    const scratch = AT + regions.length * REGION_BYTES;
    memory.store(AT, regions);
    const result = memory.kernels.sort_regions(AT, regions.length, scratch);
    expect([AT, scratch]).toContain(result);
    return memory.load(result, regions.length);
  }

  const at = (...offsets: number[]): Region[] =>
    offsets.map((offset, index) => ({ offset: BigInt(offset), byteLength: BigInt(index) }));

  describe("sort_regions", () => {
    test("agrees with its twin", () => {
      fc.assert(
        fc.property(arbitraryRegions, (regions) => {
          expect(sortInMemory(regions)).toEqual(sortRegions(regions));
        }),
        { numRuns: 1000 },
      );
    });

    test.each([
      ["none", at()],
      ["one", at(5)],
      ["two in order", at(1, 2)],
      ["two out of order", at(2, 1)],
      ["all in reverse", at(9, 8, 7, 6, 5, 4, 3, 2, 1)],
      ["ascending runs", at(1, 5, 9, 2, 6, 10, 0, 3)],
    ])("sorts %s", (_, regions) => {
      expect(sortInMemory(regions)).toEqual(sortRegions(regions));
    });

    test("keeps the order of those with the same offset", () => {
      const offsets = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 60 });
      fc.assert(
        fc.property(offsets, (some) => {
          const sorted = sortInMemory(at(...some));
          for (const [index, region] of sorted.entries()) {
            const before = sorted[index - 1];
            // `byteLength` is the place a region came from.
            if (before?.offset === region.offset) {
              expect(before.byteLength).toBeLessThan(region.byteLength);
            }
          }
        }),
      );
    });

    test("compares offsets as unsigned 64-bit numbers", () => {
      const regions = [2n ** 63n + 1n, 2n ** 32n, 2n ** 63n, 1n].map((offset) => ({
        offset,
        byteLength: 1n,
      }));
      expect(sortInMemory(regions).map(({ offset }) => offset)).toEqual([
        1n,
        2n ** 32n,
        2n ** 63n,
        2n ** 63n + 1n,
      ]);
    });

    test("writes nothing outside the regions and the scratch space", () => {
      sortInMemory(at(4, 3, 2, 1));
      const end = AT + 2 * 4 * REGION_BYTES + COUNTERS_BYTES;
      expect(memory.load(AT - REGION_BYTES, 1)).toEqual([UNTOUCHED]);
      // Where the digits are counted; the twin in TypeScript needs no counters.
      const counts = memory.load(end - REGION_BYTES, 1);
      if (kind === "WebAssembly") expect(counts).not.toEqual([UNTOUCHED]);
      expect(memory.load(end, 1)).toEqual([UNTOUCHED]);
    });
  });
});
