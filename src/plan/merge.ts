import { bindKernels } from "../kernels/kernels.ts";
import { RANGE_BYTES, RangeTable } from "./range-table.ts";

const WASM_PAGE_BYTES = 65_536;

/** `assembly/sort-regions.ts`: what sorting needs besides as many regions again. */
const COUNTERS_BYTES = 1024;

/**
 * Planning is synchronous, so one scratch memory serves every plan of this thread. It grows to the
 * largest of them: 100,000 regions take 3 MiB.
 */
const scratch = new WebAssembly.Memory({ initial: 1, maximum: 65_536, shared: true });
const kernels = bindKernels(scratch);

function reserve(byteLength: number): void {
  const missing = byteLength - scratch.buffer.byteLength;
  if (missing > 0) scratch.grow(Math.ceil(missing / WASM_PAGE_BYTES));
}

function store(words: Uint32Array): void {
  new Uint32Array(scratch.buffer).set(words);
}

function load(address: number, count: number): RangeTable {
  return RangeTable.copyOf(new Uint32Array(scratch.buffer, address, (count * RANGE_BYTES) / 4));
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
  reserve(2 * words.byteLength + COUNTERS_BYTES);
  store(words);
  const sorted = kernels.sort_regions(0, count, words.byteLength);
  // Joined by the byte first, and what that leaves by the page: the same pages, and the exact bytes.
  const exact = kernels.merge_regions(sorted, count, 1);
  const bytes = load(sorted, exact).byteLength;
  const kept = kernels.merge_regions(sorted, exact, pageBytes);
  return { bytes, ranges: load(sorted, kept) };
}

/** Cuts ranges into chunks of at most `chunkBytes`, at multiples of it, in the order given. */
export function cutChunks({ words, length }: RangeTable, chunkBytes: number): RangeTable {
  reserve(words.byteLength);
  store(words);
  const count = kernels.cut_chunks(0, length, words.byteLength, 0, chunkBytes);
  reserve(words.byteLength + count * RANGE_BYTES);
  kernels.cut_chunks(0, length, words.byteLength, count, chunkBytes);
  return load(words.byteLength, count);
}
