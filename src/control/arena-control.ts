/**
 * The first page of each arena: the two words that a kernel looks at. A kernel reaches only the memory
 * that it computes on, so each arena has them.
 *
 * ```
 *   +0   u32  cancel        not 0: stop at the next look    (assembly/control.ts)
 *   +8   u64  progress      bytes touched so far            (assembly/control.ts)
 * ```
 */
export const CONTROL_BYTES = 65_536; // one page of WebAssembly memory

const CANCEL = 0 / 4;
const PROGRESS = 8 / 8;

/** The buffer of a memory that was made `shared`, which the type of `Memory` does not tell. */
export function sharedBuffer(memory: WebAssembly.Memory): SharedArrayBuffer {
  return memory.buffer as ArrayBufferLike as SharedArrayBuffer;
}

/** Cancels the kernels that run in a memory, and counts what they touched. */
export class ArenaControl {
  protected readonly words: Int32Array;
  readonly #longs: BigInt64Array;

  constructor(buffer: SharedArrayBuffer) {
    this.words = new Int32Array(buffer, 0, 16);
    this.#longs = new BigInt64Array(buffer, 0, 8);
  }

  /** Memories are used again: each sweep starts from zeros. */
  reset(): void {
    this.words.fill(0);
  }

  get cancelled(): boolean {
    return Atomics.load(this.words, CANCEL) !== 0;
  }

  cancel(): void {
    Atomics.store(this.words, CANCEL, 1);
  }

  /** Bytes. */
  get progress(): number {
    return Number(Atomics.load(this.#longs, PROGRESS));
  }

  addProgress(bytes: number): void {
    Atomics.add(this.#longs, PROGRESS, BigInt(bytes));
  }
}
