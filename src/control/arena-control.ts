/**
 * The first page of each arena holds two words for the kernels. A kernel reaches only the memory that it
 * is bound to, so each arena has these words.
 *
 * ```
 *   +0   u32  cancel        not 0: return at the next check (assembly/control.ts)
 *   +8   u64  progress      bytes touched so far            (assembly/control.ts)
 * ```
 */
export const CONTROL_BYTES = 65_536; // one page of WebAssembly memory

const CANCEL = 0 / 4;
const PROGRESS = 8 / 8;

/** The buffer of a shared memory; the type of `Memory` does not show that it is shared. */
export function sharedBuffer(memory: WebAssembly.Memory): SharedArrayBuffer {
  return memory.buffer as ArrayBufferLike as SharedArrayBuffer;
}

/** Cancels the kernels that run in a memory, and counts the bytes that they touched. */
export class ArenaControl {
  protected readonly words: Int32Array;
  readonly #longs: BigInt64Array;

  constructor(buffer: SharedArrayBuffer) {
    this.words = new Int32Array(buffer, 0, 16);
    this.#longs = new BigInt64Array(buffer, 0, 8);
  }

  /** Sets all words to 0, since memories are reused by later sweeps. */
  reset(): void {
    this.words.fill(0);
  }

  get cancelled(): boolean {
    return Atomics.load(this.words, CANCEL) !== 0;
  }

  cancel(): void {
    Atomics.store(this.words, CANCEL, 1);
  }

  /** Bytes touched so far. */
  get progress(): number {
    return Number(Atomics.load(this.#longs, PROGRESS));
  }

  addProgress(bytes: number): void {
    Atomics.add(this.#longs, PROGRESS, BigInt(bytes));
  }
}
