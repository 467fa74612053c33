import type { Shim } from "../../shims/index.ts";
import type { FileSource } from "../file/open-file.ts";
import { CgroupRoom } from "./cgroup-room.ts";
import { EvictionSampler, type FilledRange } from "./eviction-sampler.ts";
import { isMemoryShort } from "./memory.ts";
import { Pressure } from "./pressure.ts";

/** The smallest batch: half of a large folio would be read whole all the same. */
export const LEAST_BATCH_BYTES = 2 * 1024 ** 2;

/** There is no memory for what comes next. The message says what is short. */
export class MemoryRanShort extends Error {}

/** How far a sweep has come, all its workers together. */
export interface SweepState {
  /** Bytes. */
  readonly progress: number;
  /** How many workers are at it. */
  readonly workers: number;
}

/**
 * Looks whether there is still memory for what comes next: a sweep of what does not fit would push
 * out what it read first, and what others need.
 */
export class MemoryWatch {
  readonly #sampler: EvictionSampler;
  readonly #state: SweepState;
  readonly #pressure = new Pressure();
  readonly #room: CgroupRoom;

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

  /** A chunk of this worker is resident. */
  filled(range: FilledRange): void {
    this.#sampler.add(range);
  }

  /** Before a chunk: why the sweep should stop; `null` when it should not. Takes some microseconds. */
  look(): string | null {
    const gone = this.#sampler.look();
    // Pages also go where there is plenty: a system may page out what it takes for idle (DAMON).
    if (gone !== null && (isMemoryShort() || this.#room.wasHit)) return gone;
    return this.#pressure.look();
  }

  /**
   * Before each batch: how much of it may be filled now, since a cgroup's limit can be nearer than
   * a chunk is long.
   *
   * @throws {@link MemoryRanShort} when nothing may
   */
  allow(batchBytes: number): number {
    const { progress, workers } = this.#state;
    const room = this.#room.look(progress, Math.max(1, workers));
    if ("full" in room) throw new MemoryRanShort(room.full);
    if (room.bytes >= batchBytes) return batchBytes;
    const whole = room.bytes - (room.bytes % LEAST_BATCH_BYTES);
    return Math.min(batchBytes, Math.max(LEAST_BATCH_BYTES, whole));
  }
}
