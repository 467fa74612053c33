import { byteLengthOf, RANGE_BYTES, RangeTable } from "./range-table.ts";
import { takeScratch } from "./scratch.ts";

/** Bytes that `assembly/sort-regions.ts` needs besides a second list of regions. */
const COUNTERS_BYTES = 1024;

function store(buffer: ArrayBufferLike, words: Uint32Array): void {
  new Uint32Array(buffer).set(words);
}

function view(buffer: ArrayBufferLike, address: number, count: number): Uint32Array {
  return new Uint32Array(buffer, address, (count * RANGE_BYTES) / 4);
}

function load(buffer: ArrayBufferLike, address: number, count: number): RangeTable {
  return RangeTable.copyOf(view(buffer, address, count));
}

/**
 * Sorts ranges, widens each to whole pages, and joins those that overlap or touch. Also counts the
 * bytes that the ranges name, each once.
 *
 * @param words of ranges, as a {@link RangeTable} has them
 * @param pageBytes a power of two
 */
export function mergePages(
  words: Uint32Array,
  pageBytes: number,
): { bytes: number; ranges: RangeTable } {
  const count = words.byteLength / RANGE_BYTES;
  const { buffer, kernels } = takeScratch(2 * words.byteLength + COUNTERS_BYTES);
  store(buffer, words);
  const sorted = kernels.sort_regions(0, count, words.byteLength);
  // Merged by bytes first, which gives the exact count, and then by pages: the pages are the same.
  const exact = kernels.merge_regions(sorted, count, 1);
  const bytes = byteLengthOf(view(buffer, sorted, exact));
  const kept = kernels.merge_regions(sorted, exact, pageBytes);
  return { bytes, ranges: load(buffer, sorted, kept) };
}

/** Cuts ranges into chunks of at most `chunkBytes`, at multiples of it, in the order given. */
export function cutChunks({ words, length }: RangeTable, chunkBytes: number): RangeTable {
  const counting = takeScratch(words.byteLength);
  store(counting.buffer, words);
  const count = counting.kernels.cut_chunks(0, length, words.byteLength, 0, chunkBytes);
  const { buffer, kernels } = takeScratch(words.byteLength + count * RANGE_BYTES);
  store(buffer, words);
  kernels.cut_chunks(0, length, words.byteLength, count, chunkBytes);
  return load(buffer, words.byteLength, count);
}
