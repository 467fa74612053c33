import { ArenaControl } from "./arena-control.ts";

const NEXT_CHUNK = 16 / 4;
const LARGE_FOLIOS = 20 / 4;
const WORKERS = 24 / 4;
const SMALL_FOLIOS = 28 / 4;
const EARLY_CHUNKS = 32 / 4;

/**
 * After so many batches in small folios the sweep assumes small folios for the rest. Fewer are not enough:
 * where a read-ahead reaches pages that are cached already, it continues in small folios also on a file
 * system with large ones (mm/readahead.c, `page_cache_ra_order`).
 */
const ENOUGH_SMALL = 8;

/**
 * The state of one sweep, in memory that its workers share:
 *
 * ```
 *   +0   u32  cancel        as in an arena
 *   +8   u64  progress      bytes made resident by other means than a kernel
 *   +16  u32  next chunk    the chunk that the next free worker takes
 *   +20  u32  large folios  0 not known yet, 1 no, 2 yes
 *   +24  u32  workers       workers that run now
 *   +28  u32  small folios  batches found in small folios
 *   +32  u32  early chunks  those of them that were taken before workers had started
 * ```
 *
 * Cancelling reaches the kernels in every arena of the sweep, and the progress includes theirs.
 */
export class SweepControl extends ArenaControl {
  #arenas: readonly ArenaControl[];

  /** @param arenas the memories that the sweep's kernels run in */
  constructor(buffer: SharedArrayBuffer, arenas: readonly ArenaControl[] = []) {
    super(buffer);
    this.#arenas = arenas;
  }

  override cancel(): void {
    super.cancel();
    for (const arena of this.#arenas) arena.cancel();
  }

  override get progress(): number {
    return this.#arenas.reduce((sum, arena) => sum + arena.progress, super.progress);
  }

  /** Detaches the arenas, so that the next sweep can use them. Keeps the progress that they counted. */
  releaseArenas(): void {
    const touched = this.progress - super.progress;
    this.#arenas = [];
    this.addProgress(touched);
  }

  /** Takes the next chunk. @returns its index */
  takeChunk(): number {
    return Atomics.add(this.words, NEXT_CHUNK, 1);
  }

  /** The same for what reads until workers have started. */
  takeChunkEarly(): number {
    Atomics.add(this.words, EARLY_CHUNKS, 1);
    return this.takeChunk();
  }

  /** How often a chunk was asked for: each worker asks once more than there are chunks. */
  get taken(): number {
    return Atomics.load(this.words, NEXT_CHUNK);
  }

  /** Whether any worker has taken a chunk. */
  get hasBegun(): boolean {
    return Atomics.load(this.words, NEXT_CHUNK) > Atomics.load(this.words, EARLY_CHUNKS);
  }

  /** Workers that have begun and not ended. */
  get workers(): number {
    return Atomics.load(this.words, WORKERS);
  }

  enterWorker(): void {
    Atomics.add(this.words, WORKERS, 1);
  }

  leaveWorker(): void {
    Atomics.sub(this.words, WORKERS, 1);
  }

  /** Whether the page cache holds the files in large folios; `null` when it is not known yet. */
  get largeFolios(): boolean | null {
    const known = Atomics.load(this.words, LARGE_FOLIOS);
    return known === 0 ? null : known === 2;
  }

  /** Records the folio of a batch that was just read from the device; `null` when it is unknown. */
  sawFolio(isLarge: boolean | null): void {
    if (isLarge === true) this.settleFolios(true);
    if (isLarge !== false) return;
    const seen = Atomics.add(this.words, SMALL_FOLIOS, 1) + 1;
    if (seen >= ENOUGH_SMALL) this.settleFolios(false);
  }

  /** Decides. One large folio decides for large ones, also after small ones were seen. */
  settleFolios(areLarge: boolean): void {
    if (areLarge) Atomics.store(this.words, LARGE_FOLIOS, 2);
    else Atomics.compareExchange(this.words, LARGE_FOLIOS, 0, 1);
  }
}
