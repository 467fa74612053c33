/**
 * Which chunks of a sweep are done, in shared memory: one word that counts them, then one word for each.
 * Workers write it; the thread that waits for a part reads it.
 */
export class DoneChunks {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  static forChunks(count: number): DoneChunks {
    return new DoneChunks(new SharedArrayBuffer(4 * (1 + count)));
  }

  finish(chunk: number): void {
    Atomics.store(this.#words, 1 + chunk, 1);
    Atomics.add(this.#words, 0, 1);
    Atomics.notify(this.#words, 0);
  }

  has(chunk: number): boolean {
    return Atomics.load(this.#words, 1 + chunk) !== 0;
  }

  get count(): number {
    return Atomics.load(this.#words, 0);
  }

  /** Resolves when the count is no longer `seen`, or after `timeoutMs` at the latest. */
  async changed(seen: number, timeoutMs: number): Promise<void> {
    await Atomics.waitAsync(this.#words, 0, seen, timeoutMs).value;
  }
}
