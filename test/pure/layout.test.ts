import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ARENA_BYTES, type Layout, layOut, locate, PMD_BYTES } from "../../src/arena/layout.ts";
import { mergePages } from "../../src/plan/merge.ts";
import type { Range } from "../../src/plan/range.ts";
import { RangeTable } from "../../src/plan/range-table.ts";

const PAGE = 4096;
const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** The widest gap that is mapped rather than left out. */
const GAP_BYTES = 64 * MIB;

const range = (least: number, most: number, longest: number) =>
  fc.record({
    offset: fc.integer({ min: least, max: most }),
    byteLength: fc.integer({ min: 1, max: longest }),
  });

/** A file as the plan gives it: whole pages, sorted, apart. */
const fileOf = (ranges: fc.Arbitrary<Range>, maxLength: number) =>
  fc
    .array(ranges, { maxLength })
    .map((some) => [...mergePages(RangeTable.from(some).words, PAGE).ranges]);

const files = fc.oneof(
  // Many small ones.
  fc.array(fileOf(range(0, 20 * MIB, 3 * MIB), 4), { maxLength: 100 }),
  // Tensors with gaps about as wide as the one that counts.
  fc.array(fileOf(range(0, 3 * GIB, 150 * MIB), 30), { maxLength: 5 }),
  // Larger than an arena.
  fc.array(fileOf(range(0, 100 * GIB, 10 * GIB), 6), { maxLength: 5 }),
  // A tensor here and there, up to 2^50.
  fc.array(fileOf(range(0, 2 ** 50, GIB), 30), { maxLength: 3 }),
);

/** What the ranges cover, file by file, found through the extents they lie in. */
function coveredRanges({ extents, ranges }: Layout, fileCount: number): Range[][] {
  const covered: Range[][] = Array.from({ length: fileCount }, () => []);
  for (const range of ranges) {
    const { extent, fileOffset } = locate(extents, range.offset);
    const before = covered[extent.file]?.at(-1);
    if (before !== undefined && before.offset + before.byteLength === fileOffset) {
      // The rest of a range that did not fit an arena.
      const byteLength = before.byteLength + range.byteLength;
      covered[extent.file]?.splice(-1, 1, { offset: before.offset, byteLength });
    } else {
      covered[extent.file]?.push({ offset: fileOffset, byteLength: range.byteLength });
    }
  }
  return covered;
}

const holds = (property: (layout: Layout, given: readonly (readonly Range[])[]) => void) =>
  fc.assert(
    fc.property(files, (given) => property(layOut(given), given)),
    { numRuns: 150 },
  );

describe("layOut", () => {
  test("covers every range exactly once, in order", () => {
    holds((layout, given) => {
      expect(coveredRanges(layout, given.length)).toEqual(given);
    });
  });

  test("gives ranges that lie whole within one extent", () => {
    holds(({ extents, ranges }) => {
      for (const range of ranges) {
        const { extent } = locate(extents, range.offset);
        const start = range.offset % ARENA_BYTES;
        expect(range.byteLength).toBeGreaterThan(0);
        expect(start).toBeGreaterThanOrEqual(extent.start);
        expect(start + range.byteLength).toBeLessThanOrEqual(extent.start + extent.byteLength);
      }
    });
  });

  test("keeps extents apart, clear of the control page and below 4 GiB with any alignOffset", () => {
    holds(({ extents, arenas }) => {
      let arena = 0;
      let end = PMD_BYTES;
      for (const extent of extents) {
        if (extent.arena !== arena) {
          expect(extent.arena).toBe(arena + 1);
          arena = extent.arena;
          end = PMD_BYTES;
        }
        expect(extent.start).toBeGreaterThanOrEqual(end);
        expect(extent.byteLength).toBeGreaterThan(0);
        end = extent.start + extent.byteLength;
        expect(end + PMD_BYTES).toBeLessThanOrEqual(ARENA_BYTES);
      }
      expect(arenas).toBe(extents.length === 0 ? 0 : arena + 1);
    });
  });

  test("gives extent and file the same place modulo a folio", () => {
    holds(({ extents }) => {
      for (const { start, offset } of extents) {
        expect(offset % PMD_BYTES).toBe(0);
        expect(start % PMD_BYTES).toBe(0);
      }
    });
  });

  test("maps whole pages, and nothing past a file's last range", () => {
    holds(({ extents }, given) => {
      for (const { file, offset, byteLength } of extents) {
        expect(byteLength % PAGE).toBe(0);
        const last = given[file]?.at(-1);
        expect(offset + byteLength).toBeLessThanOrEqual(
          (last?.offset ?? 0) + (last?.byteLength ?? 0),
        );
      }
    });
  });

  test("makes a extent only for a file, a wide gap or an arena's end", () => {
    holds(({ extents, arenas }, given) => {
      let reasons = arenas;
      for (const ranges of given) {
        reasons += 1;
        let end = Number.POSITIVE_INFINITY;
        for (const { offset, byteLength } of ranges) {
          if (offset - end > GAP_BYTES) reasons += 1;
          end = offset + byteLength;
        }
      }
      expect(extents.length).toBeLessThanOrEqual(reasons);
    });
  });

  test("begins another arena only when what is next does not fit", () => {
    holds(({ extents, arenas }) => {
      for (let arena = 0; arena < arenas - 1; arena++) {
        const last = extents.findLast((extent) => extent.arena === arena);
        expect((last?.start ?? 0) + (last?.byteLength ?? 0)).toBeGreaterThan(
          ARENA_BYTES - GAP_BYTES - 4 * PMD_BYTES,
        );
      }
    });
  });

  test("lays 100 files of 3 MiB into one arena", () => {
    const { arenas, extents } = layOut(
      Array.from({ length: 100 }, () => [{ offset: 0, byteLength: 3 * MIB }]),
    );
    expect(arenas).toBe(1);
    expect(extents.map(({ file }) => file)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  test("lays a file of 64 GiB into seventeen arenas, one extent each", () => {
    const { arenas, extents } = layOut([[{ offset: 0, byteLength: 64 * GIB }]]);
    expect(arenas).toBe(17);
    expect(extents).toHaveLength(17);
  });

  test("maps 100,000 tensors of a file that are close to one another as few extents", () => {
    const ranges = Array.from({ length: 100_000 }, (_, index) => ({
      offset: index * 128 * 1024,
      byteLength: 64 * 1024,
    }));
    const { extents, ranges: flat } = layOut([ranges]);
    expect(flat.length).toBeGreaterThanOrEqual(100_000);
    expect(extents.length).toBeLessThanOrEqual(4);
  });

  test("needs nothing for nothing", () => {
    for (const files of [[], [[], []]]) {
      const { arenas, extents, ranges } = layOut(files);
      expect({ arenas, extents, ranges: [...ranges] }).toEqual({
        arenas: 0,
        extents: [],
        ranges: [],
      });
    }
  });
});

test("locate refuses what lies in no extent", () => {
  const { extents } = layOut([[{ offset: 0, byteLength: PAGE }]]);
  expect(() => locate(extents, 0)).toThrow(RangeError);
  expect(() => locate(extents, ARENA_BYTES + PMD_BYTES)).toThrow(RangeError);
});
