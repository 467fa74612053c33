import fc from "fast-check";
import type { Region } from "./kernel-twins.ts";

/** The largest offset a file can have as far as JavaScript can say. */
const LAST = 2n ** 53n;

/** Crowded into few pages, so that they overlap, touch and repeat; with ragged ends, some empty. */
const crowded = fc.record({
  offset: fc.bigInt({ min: 0n, max: 600_000n }),
  byteLength: fc.oneof(fc.constant(0n), fc.bigInt({ min: 1n, max: 200_000n })),
});

/** On the edges of pages, where being one off shows. */
const onEdges = fc
  .record({
    page: fc.bigInt({ min: 0n, max: 40n }),
    pages: fc.bigInt({ min: 0n, max: 4n }),
    before: fc.bigInt({ min: 0n, max: 1n }),
    after: fc.bigInt({ min: 0n, max: 1n }),
  })
  .map(({ page, pages, before, after }) => ({
    offset: page * 4096n + before,
    byteLength: pages * 4096n + after,
  }));

/** Anywhere up to 2^53, past 4 GiB in particular. */
const far = fc
  .tuple(fc.bigInt({ min: 0n, max: LAST }), fc.bigInt({ min: 0n, max: LAST }))
  .map(([a, b]) => (a < b ? { offset: a, byteLength: b - a } : { offset: b, byteLength: a - b }));

const around4GiB = fc.record({
  offset: fc.bigInt({ min: 2n ** 32n - 100_000n, max: 2n ** 32n + 100_000n }),
  byteLength: fc.bigInt({ min: 0n, max: 100_000n }),
});

export const arbitraryRegions: fc.Arbitrary<Region[]> = fc.oneof(
  fc.array(crowded, { maxLength: 40 }),
  fc.array(onEdges, { maxLength: 40 }),
  fc.array(fc.oneof(crowded, onEdges, far, around4GiB), { maxLength: 40 }),
  // Each one several times over.
  fc
    .array(crowded, { maxLength: 10 })
    .chain((some) => fc.shuffledSubarray([...some, ...some, ...some])),
);

export const PAGE_SIZES = [1, 4096, 16_384, 65_536] as const;
