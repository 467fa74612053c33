import type { Range } from "./range.ts";

/** `assembly/region.ts`: two u64 a range. */
export const RANGE_BYTES = 16;
const RANGE_WORDS = RANGE_BYTES / 4;

/** 2^32. Numbers are read and written as two halves: a bigint for each would take longer than the merge. */
const HIGH = 2 ** 32;

/** Ranges in an order: a {@link RangeTable} or an array. */
export interface Ranges extends Iterable<Range> {
  readonly length: number;
  at(index: number): Range | undefined;
}

/**
 * Ranges in the form of the kernels, in memory that every thread can read. There is no object for a range:
 * with 100,000 of them the garbage collection would take as long as the planning.
 */
export class RangeTable implements Ranges {
  readonly buffer: SharedArrayBuffer;
  readonly words: Uint32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.words = new Uint32Array(buffer);
  }

  static copyOf(words: Uint32Array): RangeTable {
    const table = new RangeTable(new SharedArrayBuffer(words.byteLength));
    table.words.set(words);
    return table;
  }

  static from(ranges: Iterable<Range>): RangeTable {
    const list = new RangeList();
    for (const { offset, byteLength } of ranges) list.push(offset, byteLength);
    return RangeTable.copyOf(list.words);
  }

  get length(): number {
    return this.words.length / RANGE_WORDS;
  }

  /** Bytes of all ranges together. */
  get byteLength(): number {
    return byteLengthOf(this.words);
  }

  at(index: number): Range {
    const word = index * RANGE_WORDS;
    return { offset: longAt(this.words, word), byteLength: longAt(this.words, word + 2) };
  }

  *[Symbol.iterator](): Generator<Range> {
    for (let index = 0; index < this.length; index++) yield this.at(index);
  }

  /** The same ranges in another order. @param order the present index of each */
  reordered(order: readonly number[]): RangeTable {
    return RangeTable.from(order.map((index) => this.at(index)));
  }
}

/** Bytes of all ranges together, in the form of a {@link RangeTable}. */
export function byteLengthOf(words: Uint32Array): number {
  let sum = 0;
  for (let word = 2; word < words.length; word += RANGE_WORDS) sum += longAt(words, word);
  return sum;
}

function longAt(words: Uint32Array, word: number): number {
  return (words[word] ?? 0) + (words[word + 1] ?? 0) * HIGH;
}

/** A growing list of ranges, in the form of a {@link RangeTable}. */
export class RangeList {
  #words = new Uint32Array(64 * RANGE_WORDS);
  #end = 0;

  push(offset: number, byteLength: number): void {
    if (this.#end === this.#words.length) {
      const more = new Uint32Array(2 * this.#words.length);
      more.set(this.#words);
      this.#words = more;
    }
    this.#words[this.#end++] = offset;
    this.#words[this.#end++] = offset / HIGH;
    this.#words[this.#end++] = byteLength;
    this.#words[this.#end++] = byteLength / HIGH;
  }

  /** Valid until the next push. */
  get words(): Uint32Array {
    return this.#words.subarray(0, this.#end);
  }
}
