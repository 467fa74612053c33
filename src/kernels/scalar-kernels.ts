import type { PlanningKernels } from "./kernels.ts";

/** Two u64 a region: offset, length (`assembly/region.ts`). */
const REGION_BYTES = 16;
const REGION_WORDS = 2;

/**
 * The planning kernels of `assembly/` in TypeScript, for a process that has no WebAssembly
 * (`node --jitless`) or no address space for a memory (`ulimit -v`). They take the same addresses and
 * write the same bytes. They are about ten times slower, and plan a model in milliseconds too.
 */
export function bindScalarKernels(buffer: ArrayBufferLike): PlanningKernels {
  const words = new BigUint64Array(buffer);
  const offsetOf = (region: number) => words[region] ?? 0n;
  const lengthOf = (region: number) => words[region + 1] ?? 0n;
  const store = (region: number, offset: bigint, byteLength: bigint) => {
    words[region] = offset;
    words[region + 1] = byteLength;
  };

  return {
    sort_regions(regions, count, scratch) {
      const first = regions / 8;
      const order = Array.from({ length: count }, (_, index) => first + index * REGION_WORDS);
      // Stable, as the radix sort is.
      order.sort((a, b) => compare(offsetOf(a), offsetOf(b)));
      let to = scratch / 8;
      for (const from of order) {
        store(to, offsetOf(from), lengthOf(from));
        to += REGION_WORDS;
      }
      return scratch;
    },

    merge_regions(regions, count, pageBytes) {
      const mask = BigInt(pageBytes) - 1n;
      let kept = regions / 8;
      let start = 0n;
      let end = -1n;
      for (let index = 0; index < count; index++) {
        const region = (regions + index * REGION_BYTES) / 8;
        const [offset, byteLength] = [offsetOf(region), lengthOf(region)];
        if (byteLength === 0n) continue;
        const first = offset & ~mask;
        const last = (offset + byteLength + mask) & ~mask;
        if (first <= end) {
          if (last > end) end = last;
          continue;
        }
        if (end >= 0n) {
          store(kept, start, end - start);
          kept += REGION_WORDS;
        }
        [start, end] = [first, last];
      }
      if (end >= 0n) {
        store(kept, start, end - start);
        kept += REGION_WORDS;
      }
      return (kept - regions / 8) / REGION_WORDS;
    },

    cut_chunks(regions, count, chunks, capacity, chunkBytes) {
      const grid = BigInt(chunkBytes);
      let written = 0;
      for (let index = 0; index < count; index++) {
        const region = (regions + index * REGION_BYTES) / 8;
        const end = offsetOf(region) + lengthOf(region);
        for (let at = offsetOf(region); at < end; written++) {
          const cut = (at / grid + 1n) * grid;
          const stop = cut < end ? cut : end;
          if (written < capacity) store(chunks / 8 + written * REGION_WORDS, at, stop - at);
          at = stop;
        }
      }
      return written;
    },
  };
}

function compare(a: bigint, b: bigint): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
