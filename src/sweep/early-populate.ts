import type { Shim } from "../../shims/index.ts";
import { ARENA_BYTES, locate, PMD_BYTES } from "../arena/layout.ts";
import type { SweepControl } from "../control/sweep-control.ts";
import { CgroupRoom } from "../memory/cgroup-room.ts";
import type { SweepJob } from "./job.ts";

/** Of libuv's four threads, which belong to the whole process, so many. */
const AT_ONCE = 2;

/** What one of them is asked for: enough to keep a fast device busy, and over soon on a slow one. */
const PIECE_BYTES = 4 * PMD_BYTES;

export interface EarlyPopulate {
  /** On the clock of the workers. */
  readonly startedMs: number;
  /** Fulfilled when nothing of it is under way any more, however it ended. */
  readonly over: Promise<unknown>;
}

/**
 * Has the device read the first chunks while the workers' threads start, which takes as long as it
 * takes to read 100 MiB. Nothing counts on it: workers fill and touch every chunk all the same, and
 * find what is there already. Ends when the first worker has begun, with what it is at.
 *
 * Not for what another machine or program answers for: no one can end a thread of libuv's that waits
 * for it, and a process that exits waits for them all.
 */
export function earlyPopulate(
  job: SweepJob,
  control: SweepControl,
  shim: Shim,
): EarlyPopulate | null {
  const isSafe = job.files.every(({ facts }) => facts.isLocal);
  if (job.strategy !== "populate" || job.mapping === null || job.isWarm || !isSafe) return null;
  const startedMs = performance.timeOrigin + performance.now();
  const extents = extentsOf(job);
  const room = new CgroupRoom();
  let startedBytes = 0;
  const run = async () => {
    for (const { address, byteLength } of extents) {
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

/** From the first chunk on, piece by piece. */
function* extentsOf({ chunks, extents, mapping }: SweepJob) {
  for (let index = 0; index < chunks.length; index++) {
    const { offset, byteLength } = chunks.at(index);
    const { extent } = locate(extents, offset);
    const arena = mapping?.arenas[extent.arena];
    if (arena === undefined) return;
    const address = arena.base + BigInt((offset % ARENA_BYTES) + arena.alignOffset);
    for (let done = 0; done < byteLength; done += PIECE_BYTES) {
      yield {
        address: address + BigInt(done),
        byteLength: Math.min(PIECE_BYTES, byteLength - done),
      };
    }
  }
}
