import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ARENA_BYTES, FOLIO_BYTES, type Layout, layOut, locate } from "../../src/arena/layout.ts";
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

/** What the pieces cover, file by file, found through the windows they lie in. */
function coveredRanges({ windows, pieces }: Layout, fileCount: number): Range[][] {
  const covered: Range[][] = Array.from({ length: fileCount }, () => []);
  for (const piece of pieces) {
    const { window, fileOffset } = locate(windows, piece.offset);
    const before = covered[window.file]?.at(-1);
    if (before !== undefined && before.offset + before.byteLength === fileOffset) {
      // The rest of a range that did not fit an arena.
      const byteLength = before.byteLength + piece.byteLength;
      covered[window.file]?.splice(-1, 1, { offset: before.offset, byteLength });
    } else {
      covered[window.file]?.push({ offset: fileOffset, byteLength: piece.byteLength });
    }
  }
  return covered;
}

const holds = (property: (layout: Layout, given: readonly (readonly Range[])[]) => void) =>
  fc.assert(
    fc.property(files, (given) => property(layOut(given), given)),
    { numRuns: 400 },
  );

describe("layOut", () => {
  test("covers every range exactly once, in order", () => {
    holds((layout, given) => {
      expect(coveredRanges(layout, given.length)).toEqual(given);
    });
  });

  test("gives pieces that lie whole within one window", () => {
    holds(({ windows, pieces }) => {
      for (const piece of pieces) {
        const { window } = locate(windows, piece.offset);
        const start = piece.offset % ARENA_BYTES;
        expect(piece.byteLength).toBeGreaterThan(0);
        expect(start).toBeGreaterThanOrEqual(window.start);
        expect(start + piece.byteLength).toBeLessThanOrEqual(window.start + window.byteLength);
      }
    });
  });

  test("keeps windows apart, clear of the control page and below 4 GiB with any skew", () => {
    holds(({ windows, arenas }) => {
      let arena = 0;
      let end = FOLIO_BYTES;
      for (const window of windows) {
        if (window.arena !== arena) {
          expect(window.arena).toBe(arena + 1);
          arena = window.arena;
          end = FOLIO_BYTES;
        }
        expect(window.start).toBeGreaterThanOrEqual(end);
        expect(window.byteLength).toBeGreaterThan(0);
        end = window.start + window.byteLength;
        expect(end + FOLIO_BYTES).toBeLessThanOrEqual(ARENA_BYTES);
      }
      expect(arenas).toBe(windows.length === 0 ? 0 : arena + 1);
    });
  });

  test("gives window and file the same place modulo a folio", () => {
    holds(({ windows }) => {
      for (const { start, offset } of windows) {
        expect(offset % FOLIO_BYTES).toBe(0);
        expect(start % FOLIO_BYTES).toBe(0);
      }
    });
  });

  test("maps whole pages, and nothing past a file's last range", () => {
    holds(({ windows }, given) => {
      for (const { file, offset, byteLength } of windows) {
        expect(byteLength % PAGE).toBe(0);
        const last = given[file]?.at(-1);
        expect(offset + byteLength).toBeLessThanOrEqual(
          (last?.offset ?? 0) + (last?.byteLength ?? 0),
        );
      }
    });
  });

  test("makes a window only for a file, a wide gap or an arena's end", () => {
    holds(({ windows, arenas }, given) => {
      let reasons = arenas;
      for (const ranges of given) {
        reasons += 1;
        let end = Number.POSITIVE_INFINITY;
        for (const { offset, byteLength } of ranges) {
          if (offset - end > GAP_BYTES) reasons += 1;
          end = offset + byteLength;
        }
      }
      expect(windows.length).toBeLessThanOrEqual(reasons);
    });
  });

  test("begins another arena only when what is next does not fit", () => {
    holds(({ windows, arenas }) => {
      for (let arena = 0; arena < arenas - 1; arena++) {
        const last = windows.findLast((window) => window.arena === arena);
        expect((last?.start ?? 0) + (last?.byteLength ?? 0)).toBeGreaterThan(
          ARENA_BYTES - GAP_BYTES - 4 * FOLIO_BYTES,
        );
      }
    });
  });

  test("lays 100 files of 3 MiB into one arena", () => {
    const { arenas, windows } = layOut(
      Array.from({ length: 100 }, () => [{ offset: 0, byteLength: 3 * MIB }]),
    );
    expect(arenas).toBe(1);
    expect(windows.map(({ file }) => file)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  test("lays a file of 64 GiB into seventeen arenas, one window each", () => {
    const { arenas, windows } = layOut([[{ offset: 0, byteLength: 64 * GIB }]]);
    expect(arenas).toBe(17);
    expect(windows).toHaveLength(17);
  });

  test("maps 100,000 tensors of a file that are close to one another as few windows", () => {
    const ranges = Array.from({ length: 100_000 }, (_, index) => ({
      offset: index * 128 * 1024,
      byteLength: 64 * 1024,
    }));
    const { windows, pieces } = layOut([ranges]);
    expect(pieces.length).toBeGreaterThanOrEqual(100_000);
    expect(windows.length).toBeLessThanOrEqual(4);
  });

  test("needs nothing for nothing", () => {
    for (const files of [[], [[], []]]) {
      const { arenas, windows, pieces } = layOut(files);
      expect({ arenas, windows, pieces: [...pieces] }).toEqual({
        arenas: 0,
        windows: [],
        pieces: [],
      });
    }
  });
});

test("locate refuses what lies in no window", () => {
  const { windows } = layOut([[{ offset: 0, byteLength: PAGE }]]);
  expect(() => locate(windows, 0)).toThrow(RangeError);
  expect(() => locate(windows, ARENA_BYTES + FOLIO_BYTES)).toThrow(RangeError);
});
