/**
 * The control page: the first page of every memory that takes part in a sweep. A kernel can look
 * only into the memory it computes on, so each arena has one; the sweep's own carries what the lanes
 * share besides.
 *
 * ```
 *   +0   u32  cancel        not 0: stop at the next look          (assembly/control.ts)
 *   +8   u64  progress      bytes made resident so far            (assembly/control.ts)
 *   +16  u32  next chunk    the chunk that the next free lane takes
 *   +20  u32  large folios  0 not known yet, 1 no, 2 yes
 *   +24  u32  lanes         how many are at work
 *   +28  u32  small folios  windows that turned out to lie in small ones
 * ```
 */
export const CONTROL_BYTES = 65_536; // one page of WebAssembly memory

const CANCEL = 0 / 4;
const PROGRESS = 8 / 8;
const NEXT_CHUNK = 16 / 4;
const LARGE_FOLIOS = 20 / 4;
const LANES = 24 / 4;
const SMALL_FOLIOS = 28 / 4;

/**
 * So many windows have to lie in small folios before it is believed of the rest: where a read-ahead
 * meets another's pages it goes on in small ones, also where large ones are the rule (mm/readahead.c,
 * `page_cache_ra_order`).
 */
const ENOUGH_SMALL = 8;

/** The buffer of a memory that was made `shared`, which the type of `Memory` does not tell. */
export function sharedBuffer(memory: WebAssembly.Memory): SharedArrayBuffer {
  return memory.buffer as ArrayBufferLike as SharedArrayBuffer;
}

/** The control page of one memory. */
export class ControlPage {
  readonly #words: Int32Array;
  readonly #longs: BigInt64Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer, 0, 16);
    this.#longs = new BigInt64Array(buffer, 0, 8);
  }

  /** Memories are used again: each sweep starts from a page of zeros. */
  reset(): void {
    this.#words.fill(0);
  }

  get cancelled(): boolean {
    return Atomics.load(this.#words, CANCEL) !== 0;
  }

  cancel(): void {
    Atomics.store(this.#words, CANCEL, 1);
  }

  get progress(): number {
    return Number(Atomics.load(this.#longs, PROGRESS));
  }

  addProgress(bytes: number): void {
    Atomics.add(this.#longs, PROGRESS, BigInt(bytes));
  }

  /** The number of a chunk no other lane has taken. */
  takeChunk(): number {
    return Atomics.add(this.#words, NEXT_CHUNK, 1);
  }

  /** Whether any lane has taken a chunk. */
  get hasBegun(): boolean {
    return Atomics.load(this.#words, NEXT_CHUNK) > 0;
  }

  /** Lanes that have begun and not ended. */
  get lanes(): number {
    return Atomics.load(this.#words, LANES);
  }

  enterLane(): void {
    Atomics.add(this.#words, LANES, 1);
  }

  leaveLane(): void {
    Atomics.sub(this.#words, LANES, 1);
  }

  get largeFolios(): boolean | null {
    const known = Atomics.load(this.#words, LARGE_FOLIOS);
    return known === 0 ? null : known === 2;
  }

  /** What a window lies in that was just filled from the device; `null` when it cannot be told. */
  sawFolio(isLarge: boolean | null): void {
    if (isLarge === true) this.settleFolios(true);
    if (isLarge !== false) return;
    const seen = Atomics.add(this.#words, SMALL_FOLIOS, 1) + 1;
    if (seen >= ENOUGH_SMALL) this.settleFolios(false);
  }

  /** Large ones that were seen once are the rule. */
  settleFolios(areLarge: boolean): void {
    if (areLarge) Atomics.store(this.#words, LARGE_FOLIOS, 2);
    else Atomics.compareExchange(this.#words, LARGE_FOLIOS, 0, 1);
  }
}
