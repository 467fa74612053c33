import type { Shim } from "../../shims/index.ts";
import type { SweepControl } from "../control/sweep-control.ts";
import { fillWithoutWorkers } from "./fill-without-workers.ts";
import type { SweepJob } from "./job.ts";
import type { WorkerResult, WorkerTask } from "./protocol.ts";

/**
 * Reads the first chunks on libuv's threads while the worker threads start, which takes about as long as
 * reading 100 MiB. Ends when all of them have begun.
 *
 * Not for files on another machine or of another program: a thread of libuv's that waits for one cannot be
 * ended. Not on a rotating disk, where it would make the disk seek.
 *
 * @param threads worker threads that are to start
 * @returns what it read; `null` where nothing is read before
 */
export function earlyRead(
  job: SweepJob,
  task: WorkerTask,
  threads: number,
  control: SweepControl,
  shim: Shim,
): Promise<WorkerResult> | null {
  const isSafe = job.files.every(({ facts }) => facts.isLocal && facts.isRotational !== true);
  if (job.strategy !== "read" || threads === 0 || job.isWarm || !isSafe) return null;
  // It counts itself among those that run.
  const reading = fillWithoutWorkers(task, shim, () => control.workers <= threads);
  reading.catch(() => control.cancel());
  return reading;
}
