import type { Shim } from "../../shims/index.ts";
import type { FileSource } from "../files.ts";
import { CgroupRoom } from "../memory/cgroup-room.ts";
import { isMemoryShort } from "../memory/memory.ts";
import { MemoryRanShort, type Stretch } from "./filler.ts";
import { Head } from "./head.ts";
import { Pressure } from "./pressure.ts";
import { LEAST_WINDOW_BYTES } from "./window-size.ts";

/** How far a sweep has come, all its workers together. */
export interface SweepState {
  readonly sweptBytes: number;
  /** How many workers are at it. */
  readonly workers: number;
}

/**
 * Looks whether there is still memory for what comes next: a sweep of what does not fit would push
 * out what it read first, and what others need.
 */
export class MemoryWatch {
  readonly #head: Head;
  readonly #state: SweepState;
  readonly #pressure = new Pressure();
  readonly #room: CgroupRoom;

  constructor(
    files: readonly FileSource[],
    shim: Shim,
    state: SweepState,
    room = new CgroupRoom(),
  ) {
    this.#head = new Head(files, shim);
    this.#state = state;
    this.#room = room;
  }

  /** A chunk of this worker is resident. */
  filled(stretch: Stretch): void {
    this.#head.add(stretch);
  }

  /** Before a chunk: why the sweep should stop; `null` when it should not. Takes some microseconds. */
  look(): string | null {
    const gone = this.#head.look();
    // Pages also go where there is plenty: a system may page out what it takes for idle (DAMON).
    if (gone !== null && (isMemoryShort() || this.#room.wasHit)) return gone;
    return this.#pressure.look();
  }

  /**
   * Before each window: how much of it may be filled now, since a cgroup's limit can be nearer than
   * a chunk is long.
   *
   * @throws {@link MemoryRanShort} when nothing may
   */
  allow(windowBytes: number): number {
    const { sweptBytes, workers } = this.#state;
    const room = this.#room.look(sweptBytes, Math.max(1, workers));
    if ("full" in room) throw new MemoryRanShort(room.full);
    if (room.bytes >= windowBytes) return windowBytes;
    const whole = room.bytes - (room.bytes % LEAST_WINDOW_BYTES);
    return Math.min(windowBytes, Math.max(LEAST_WINDOW_BYTES, whole));
  }
}
