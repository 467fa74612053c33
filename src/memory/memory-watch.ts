import type { Shim } from "../../shims/index.ts";
import type { FileSource } from "../file/open-file.ts";
import { CgroupRoom } from "./cgroup-room.ts";
import { EvictionSampler, type FilledRange } from "./eviction-sampler.ts";
import { isMemoryShort } from "./memory.ts";
import { Pressure } from "./pressure.ts";

/** The smallest batch is one large folio: for half of one the kernel reads the whole. */
export const LEAST_BATCH_BYTES = 2 * 1024 ** 2;

/**
 * How long what a cgroup had room for is taken for true. Experts are filled in thousands of slices, and to
 * read a group's files before each made a fill longer by about a sixth.
 */
const TRUE_MS = 10;

/** There is no memory for the next batch. The message gives the figures. */
export class MemoryRanShort extends Error {}

/** The progress of a sweep, all workers together. */
export interface SweepState {
  /** Bytes. */
  readonly progress: number;
  /** Workers that run now. */
  readonly workers: number;
}

/**
 * Checks whether there is memory for the rest of a sweep. A sweep that does not fit would evict what it
 * read first, and pages that other programs need.
 */
export class MemoryWatch {
  readonly #sampler: EvictionSampler;
  readonly #state: SweepState;
  readonly #pressure = new Pressure();
  readonly #room: CgroupRoom;
  /** Bytes that may still be filled without asking the cgroups, and until when. */
  #allowed = { bytes: 0, untilMs: 0 };

  constructor(
    files: readonly FileSource[],
    shim: Shim,
    state: SweepState,
    room = new CgroupRoom(),
  ) {
    this.#sampler = new EvictionSampler(files, shim);
    this.#state = state;
    this.#room = room;
  }

  /** To be called after each chunk that this worker has filled. */
  filled(range: FilledRange): void {
    this.#sampler.add(range);
  }

  /** Before each chunk. @returns the reason to stop the sweep, or `null`. Takes some microseconds */
  look(): string | null {
    const gone = this.#sampler.look();
    // Evicted pages alone are no reason: a system with free memory may page out idle pages (DAMON).
    if (gone !== null && (isMemoryShort() || this.#room.wasHit)) return gone;
    return this.#pressure.look();
  }

  /**
   * Before each batch: reduces its size to the room below a cgroup's limit, which can be less than a chunk.
   *
   * @returns bytes that may be filled now, of `batchBytes`
   * @throws {@link MemoryRanShort} when there is no room
   */
  allow(batchBytes: number): number {
    const now = performance.now();
    if (batchBytes <= this.#allowed.bytes && now < this.#allowed.untilMs) {
      this.#allowed.bytes -= batchBytes;
      return batchBytes;
    }
    const { progress, workers } = this.#state;
    const room = this.#room.look(progress, Math.max(1, workers));
    if ("full" in room) throw new MemoryRanShort(room.full);
    this.#allowed = { bytes: room.bytes - batchBytes, untilMs: now + TRUE_MS };
    if (room.bytes >= batchBytes) return batchBytes;
    const whole = room.bytes - (room.bytes % LEAST_BATCH_BYTES);
    return Math.min(batchBytes, Math.max(LEAST_BATCH_BYTES, whole));
  }
}
