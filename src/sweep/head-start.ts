import type { Shim } from "../../shims/index.ts";
import { ARENA_BYTES, FOLIO_BYTES, locate } from "../arena/layout.ts";
import type { ControlPage } from "../control.ts";
import { CgroupRoom } from "../memory/cgroup-room.ts";
import type { SweepJob } from "./job.ts";

/** Of libuv's four threads, which belong to the whole process, so many. */
const AT_ONCE = 2;

/** What one of them is asked for: enough to keep a fast device busy, and over soon on a slow one. */
const PIECE_BYTES = 4 * FOLIO_BYTES;

export interface HeadStart {
  /** On the clock of the lanes. */
  readonly startedMs: number;
  /** Fulfilled when nothing of it is under way any more, however it ended. */
  readonly over: Promise<unknown>;
}

/**
 * Has the device read the first chunks while the lanes' threads start, which takes as long as it
 * takes to read 100 MiB. Nothing counts on it: lanes fill and touch every chunk all the same, and
 * find what is there already. Ends when the first lane has begun, with what it is at.
 *
 * Not for what another machine or program answers for: no one can end a thread of libuv's that waits
 * for it, and a process that exits waits for them all.
 */
export function headStart(job: SweepJob, control: ControlPage, shim: Shim): HeadStart | null {
  const isSafe = job.files.every(({ facts }) => facts.isLocal);
  if (job.strategy !== "populate" || job.mapping === null || job.isWarm || !isSafe) return null;
  const startedMs = performance.timeOrigin + performance.now();
  const windows = windowsOf(job);
  const room = new CgroupRoom();
  let startedBytes = 0;
  const run = async () => {
    for (const { address, byteLength } of windows) {
      if (control.lanes > 0 || control.cancelled) return;
      const left = room.look(startedBytes, AT_ONCE);
      if ("full" in left || left.bytes < byteLength) return;
      startedBytes += byteLength;
      await shim.populateInBackground(address, byteLength);
    }
  };
  const rotational = job.files.some(({ facts }) => facts.isRotational);
  const over = Promise.allSettled(Array.from({ length: rotational ? 1 : AT_ONCE }, run));
  return { startedMs, over };
}

/** From the first chunk on, piece by piece. */
function* windowsOf({ chunks, windows, mapping }: SweepJob) {
  for (let index = 0; index < chunks.length; index++) {
    const { offset, byteLength } = chunks.at(index);
    const { window } = locate(windows, offset);
    const arena = mapping?.arenas[window.arena];
    if (arena === undefined) return;
    const address = arena.base + BigInt((offset % ARENA_BYTES) + arena.skew);
    for (let done = 0; done < byteLength; done += PIECE_BYTES) {
      yield {
        address: address + BigInt(done),
        byteLength: Math.min(PIECE_BYTES, byteLength - done),
      };
    }
  }
}
