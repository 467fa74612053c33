import fc from "fast-check";
import { expect, test } from "vitest";
import { gapsBetween } from "../../src/hold/room.ts";

/** Ranges of pages, sorted and apart, as a plan has them. */
const arbitraryRanges = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 1, max: 6 })), {
    maxLength: 12,
  })
  .map((steps) => {
    let at = 0;
    return steps.map(([gap, byteLength]) => {
      const offset = at + gap;
      at = offset + byteLength;
      return { offset, byteLength };
    });
  });

test("what lies between ranges is every page of a mapping that no range has", () => {
  const window = fc.tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 60 }));
  fc.assert(
    fc.property(arbitraryRanges, window, (ranges, [start, byteLength]) => {
      const end = start + byteLength;
      const kept = new Set<number>();
      for (const { offset, byteLength: bytes } of ranges) {
        for (let page = offset; page < offset + bytes; page++) kept.add(page);
      }
      const wanted: number[] = [];
      for (let page = start; page < end; page++) if (!kept.has(page)) wanted.push(page);
      const gaps = [...gapsBetween(ranges, start, end)];
      const found = gaps.flatMap((gap) =>
        Array.from({ length: gap.byteLength }, (_, page) => gap.offset + page),
      );
      expect(found).toEqual(wanted);
      expect(gaps.every(({ byteLength: bytes }) => bytes > 0)).toBe(true);
    }),
    { numRuns: 2000 },
  );
});
