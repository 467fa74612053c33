import { bindKernels } from "../kernels/kernels.ts";
import type { Range } from "./range.ts";

/** `assembly/region.ts`: two u64 a region. */
const REGION_BYTES = 16;
const REGION_WORDS = REGION_BYTES / 4;
const WASM_PAGE_BYTES = 65_536;

/**
 * Planning is synchronous, so one scratch memory serves every plan of this thread. It grows to the
 * largest of them: 100,000 regions take 3 MiB.
 */
const scratch = new WebAssembly.Memory({ initial: 1, maximum: 65_536, shared: true });
const kernels = bindKernels(scratch);

function words(byteLength: number): Uint32Array {
  const missing = byteLength - scratch.buffer.byteLength;
  if (missing > 0) scratch.grow(Math.ceil(missing / WASM_PAGE_BYTES));
  return new Uint32Array(scratch.buffer);
}

/** 2^32, written as halves: a bigint for each number would cost more than the merge itself. */
const HIGH = 2 ** 32;

function store(memory: Uint32Array, ranges: readonly Range[]): void {
  let at = 0;
  for (const { offset, byteLength } of ranges) {
    memory[at] = offset;
    memory[at + 1] = offset / HIGH;
    memory[at + 2] = byteLength;
    memory[at + 3] = byteLength / HIGH;
    at += REGION_WORDS;
  }
}

function loadRange(memory: Uint32Array, index: number): Range {
  const at = index * REGION_WORDS;
  return { offset: loadLong(memory, at), byteLength: loadLong(memory, at + 2) };
}

function loadLong(memory: Uint32Array, word: number): number {
  return (memory[word] ?? 0) + (memory[word + 1] ?? 0) * HIGH;
}

/** A plain loop: `Array.from` with a callback takes twenty times as long as the merge. */
function loadRanges(memory: Uint32Array, first: number, count: number): Range[] {
  const ranges: Range[] = [];
  for (let index = first; index < first + count; index++) ranges.push(loadRange(memory, index));
  return ranges;
}

/**
 * Sorts ranges, widens each to whole pages, and joins those that overlap or touch. With a page of
 * one byte it gives the exact union.
 *
 * @param pageBytes a power of two
 */
export function mergeRanges(ranges: readonly Range[], pageBytes: number): Range[] {
  return mergePages(ranges, pageBytes).ranges;
}

/** The pages of {@link mergeRanges}, and how many bytes of them the ranges name, each counted once. */
export function mergePages(
  ranges: readonly Range[],
  pageBytes: number,
): { bytes: number; ranges: Range[] } {
  const count = ranges.length;
  const memory = words(2 * count * REGION_BYTES);
  store(memory, ranges);
  const sorted = kernels.sort_regions(0, count, count * REGION_BYTES);
  // Joined by the byte first, and what that leaves by the page: the same pages, and the exact bytes.
  const exact = kernels.merge_regions(sorted, count, 1);
  const first = sorted / REGION_BYTES;
  let bytes = 0;
  for (let index = first; index < first + exact; index++) {
    bytes += loadLong(memory, index * REGION_WORDS + 2);
  }
  const kept = kernels.merge_regions(sorted, exact, pageBytes);
  return { bytes, ranges: loadRanges(memory, first, kept) };
}

/** Chunks in shared memory, so that every lane reads the same table and none is sent a copy. */
export class ChunkTable {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Uint32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Uint32Array(buffer);
  }

  get length(): number {
    return this.#words.length / REGION_WORDS;
  }

  /** Bytes of all chunks together. */
  get byteLength(): number {
    let sum = 0;
    for (let index = 0; index < this.length; index++) sum += this.at(index).byteLength;
    return sum;
  }

  at(index: number): Range {
    return loadRange(this.#words, index);
  }

  /** The same chunks, in another order: `order` holds their present numbers. */
  reordered(order: readonly number[]): ChunkTable {
    const buffer = new SharedArrayBuffer(this.buffer.byteLength);
    const words = new Uint32Array(buffer);
    for (const [to, from] of order.entries()) {
      const at = from * REGION_WORDS;
      words.set(this.#words.subarray(at, at + REGION_WORDS), to * REGION_WORDS);
    }
    return new ChunkTable(buffer);
  }
}

/** Cuts ranges into chunks of at most `chunkBytes`, at multiples of it, in the order given. */
export function cutChunks(ranges: readonly Range[], chunkBytes: number): ChunkTable {
  const count = ranges.length;
  const rangesBytes = count * REGION_BYTES;
  store(words(rangesBytes), ranges);
  const chunks = kernels.cut_chunks(0, count, rangesBytes, 0, chunkBytes);
  const memory = words(rangesBytes + chunks * REGION_BYTES);
  kernels.cut_chunks(0, count, rangesBytes, chunks, chunkBytes);
  const buffer = new SharedArrayBuffer(chunks * REGION_BYTES);
  const first = count * REGION_WORDS;
  new Uint32Array(buffer).set(memory.subarray(first, first + chunks * REGION_WORDS));
  return new ChunkTable(buffer);
}
