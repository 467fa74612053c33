import type { Shim } from "../../shims/index.ts";
import { ARENA_BYTES, locate, PMD_BYTES } from "../arena/layout.ts";
import type { SweepControl } from "../control/sweep-control.ts";
import { CgroupRoom } from "../memory/cgroup-room.ts";
import type { SweepJob } from "./job.ts";
import { sharedClockMs } from "./measure-worker.ts";

/** Calls at a time: two of libuv's four threads, which the whole process shares. */
const AT_ONCE = 2;

/** Bytes of one call: enough to keep a fast device busy, and done soon on a slow one. */
const CALL_BYTES = 4 * PMD_BYTES;

export interface EarlyPopulate {
  /** On the clock that all threads share, {@link sharedClockMs}. */
  readonly startedMs: number;
  /** Fulfilled when its last call has returned, whether it worked or not. */
  readonly over: Promise<unknown>;
}

/**
 * Populates the first chunks on libuv's threads while the worker threads start, which takes about as long
 * as reading 100 MiB. Only to save time: workers fill and touch every chunk, and a
 * chunk that was populated here is done faster. Ends when the first worker has begun and the calls under
 * way have returned.
 *
 * Not for files on another machine or of another program: a thread of libuv's that waits for one cannot be
 * ended, and a process that exits waits for all of them.
 */
export function earlyPopulate(
  job: SweepJob,
  control: SweepControl,
  shim: Shim,
): EarlyPopulate | null {
  const isSafe = job.files.every(({ facts }) => facts.isLocal);
  if (job.strategy !== "populate" || job.mapping === null || job.isWarm || !isSafe) return null;
  const startedMs = sharedClockMs();
  const ranges = rangesToPopulate(job);
  const room = new CgroupRoom();
  let startedBytes = 0;
  const run = async () => {
    for (const { address, byteLength } of ranges) {
      if (control.workers > 0 || control.cancelled) return;
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

/** The mapped addresses of the chunks, in order, in ranges of {@link CALL_BYTES} at most. */
function* rangesToPopulate({ chunks, extents, mapping }: SweepJob) {
  for (let index = 0; index < chunks.length; index++) {
    const { offset, byteLength } = chunks.at(index);
    const { extent } = locate(extents, offset);
    const arena = mapping?.arenas[extent.arena];
    if (arena === undefined) return;
    const address = arena.base + BigInt((offset % ARENA_BYTES) + arena.alignOffset);
    for (let done = 0; done < byteLength; done += CALL_BYTES) {
      yield {
        address: address + BigInt(done),
        byteLength: Math.min(CALL_BYTES, byteLength - done),
      };
    }
  }
}
