import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { arbitraryRegions, PAGE_SIZES } from "../../helpers/arbitrary-regions.ts";
import { mergeRegions, type Region, sortRegions } from "../../helpers/kernel-twins.ts";
import {
  KERNEL_KINDS,
  REGION_BYTES,
  RegionMemory,
  UNTOUCHED,
} from "../../helpers/region-memory.ts";

describe.each(KERNEL_KINDS)("in %s", (kind) => {
  const memory = new RegionMemory(kind);
  beforeEach(() => memory.clear());

  const AT = 512;

  function mergeInMemory(sorted: readonly Region[], pageBytes: number): Region[] {
    memory.store(AT, sorted);
    const kept = memory.kernels.merge_regions(AT, sorted.length, pageBytes);
    return memory.load(AT, kept);
  }

  const spans = (...pairs: (readonly [number, number])[]): Region[] =>
    pairs.map(([offset, byteLength]) => ({
      offset: BigInt(offset),
      byteLength: BigInt(byteLength),
    }));

  describe.each(PAGE_SIZES)("merge_regions with pages of %d bytes", (pageBytes) => {
    test("agrees with its twin", () => {
      fc.assert(
        fc.property(arbitraryRegions, (regions) => {
          const sorted = sortRegions(regions);
          expect(mergeInMemory(sorted, pageBytes)).toEqual(mergeRegions(sorted, pageBytes));
        }),
        { numRuns: 500 },
      );
    });

    test("leaves ranges of whole pages, in order and apart", () => {
      const page = BigInt(pageBytes);
      fc.assert(
        fc.property(arbitraryRegions, (regions) => {
          let end = -1n;
          for (const { offset, byteLength } of mergeInMemory(sortRegions(regions), pageBytes)) {
            expect(offset % page).toBe(0n);
            expect(byteLength % page).toBe(0n);
            expect(byteLength).toBeGreaterThan(0n);
            expect(offset).toBeGreaterThan(end);
            end = offset + byteLength;
          }
        }),
      );
    });
  });

  describe("merge_regions", () => {
    test.each([
      ["nothing", spans(), spans()],
      ["regions of no length", spans([0, 0], [4096, 0], [9999, 0]), spans()],
      ["one byte", spans([5000, 1]), spans([4096, 4096])],
      ["a byte on each side of a page's edge", spans([4095, 2]), spans([0, 8192])],
      ["neighbours", spans([0, 4096], [4096, 4096]), spans([0, 8192])],
      ["neighbours within a page", spans([0, 10], [4000, 10]), spans([0, 4096])],
      ["a page apart", spans([0, 4096], [8192, 4096]), spans([0, 4096], [8192, 4096])],
      ["one inside another", spans([0, 40_960], [8192, 10]), spans([0, 40_960])],
      ["duplicates", spans([4096, 10], [4096, 10], [4096, 10]), spans([4096, 4096])],
      [
        "an empty one between two",
        spans([0, 1], [4096, 0], [8192, 1]),
        spans([0, 4096], [8192, 4096]),
      ],
    ])("merges %s", (_, regions, merged) => {
      expect(mergeInMemory(regions, 4096)).toEqual(merged);
    });

    test("has room to widen what ends just below 2^63", () => {
      const last = 2n ** 63n - 65_536n;
      expect(mergeInMemory([{ offset: last - 1n, byteLength: 2n }], 65_536)).toEqual([
        { offset: last - 65_536n, byteLength: 131_072n },
      ]);
    });

    test("writes nothing outside the regions", () => {
      mergeInMemory(spans([0, 1], [4096, 1], [100_000, 1]), 4096);
      expect(memory.load(AT - REGION_BYTES, 1)).toEqual([UNTOUCHED]);
      expect(memory.load(AT + 3 * REGION_BYTES, 1)).toEqual([UNTOUCHED]);
    });
  });
});
