import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cutChunks, mergePages } from "../../../src/plan/merge.ts";
import type { Range } from "../../../src/plan/range.ts";
import { RangeTable } from "../../../src/plan/range-table.ts";
import { arbitraryRegions, PAGE_SIZES } from "../../helpers/arbitrary-regions.ts";
import * as twin from "../../helpers/kernel-twins.ts";

const toRange = ({ offset, byteLength }: twin.Region): Range => ({
  offset: Number(offset),
  byteLength: Number(byteLength),
});

const merge = (ranges: readonly Range[], pageBytes: number) =>
  mergePages(RangeTable.from(ranges).words, pageBytes);
const cut = (ranges: readonly Range[]) => cutChunks(RangeTable.from(ranges), 65_536);

describe("mergePages", () => {
  test.each(PAGE_SIZES)("agrees with the kernels' twins on pages of %d bytes", (pageBytes) => {
    fc.assert(
      fc.property(arbitraryRegions, (regions) => {
        const expected = twin.mergeRegions(twin.sortRegions(regions), pageBytes);
        expect([...merge(regions.map(toRange), pageBytes).ranges]).toEqual(expected.map(toRange));
      }),
    );
  });

  test("holds 100,000 ranges", () => {
    const ranges = Array.from({ length: 100_000 }, (_, index) => ({
      offset: (99_999 - index) * 8192,
      byteLength: 1,
    }));
    const merged = merge(ranges, 4096).ranges;
    expect(merged).toHaveLength(100_000);
    expect(merged.at(99_999)).toEqual({ offset: 99_999 * 8192, byteLength: 4096 });
  });

  test("leaves what it was given alone", () => {
    const ranges = Object.freeze([
      { offset: 5, byteLength: 1 },
      { offset: 1, byteLength: 1 },
    ]);
    merge(ranges, 4096);
    expect(ranges).toEqual([
      { offset: 5, byteLength: 1 },
      { offset: 1, byteLength: 1 },
    ]);
  });
});

describe("cutChunks", () => {
  test("agrees with the kernel's twin", () => {
    const byteLength = fc.integer({ min: 0, max: 3_000_000 });
    const offset = fc.integer({ min: 0, max: 2 ** 52 });
    fc.assert(
      fc.property(fc.array(fc.record({ offset, byteLength }), { maxLength: 20 }), (ranges) => {
        const regions = ranges.map((range) => ({
          offset: BigInt(range.offset),
          byteLength: BigInt(range.byteLength),
        }));
        expect([...cut(ranges)]).toEqual(twin.cutChunks(regions, 65_536).map(toRange));
      }),
    );
  });

  test("makes room for however many there are", () => {
    const table = cut([{ offset: 0, byteLength: 100_000 * 65_536 }]);
    expect(table.length).toBe(100_000);
    expect(table.at(99_999)).toEqual({ offset: 99_999 * 65_536, byteLength: 65_536 });
  });

  test("gives a table that another thread can read from its buffer", () => {
    const table = cut([{ offset: 2 ** 40, byteLength: 100_000 }]);
    expect(table.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect([...new RangeTable(table.buffer)]).toEqual([...table]);
  });

  test("outlives the next plan", () => {
    const table = cut([{ offset: 0, byteLength: 65_536 }]);
    merge([{ offset: 99, byteLength: 99 }], 1);
    cut([{ offset: 65_536, byteLength: 65_536 }]);
    expect([...table]).toEqual([{ offset: 0, byteLength: 65_536 }]);
  });
});
