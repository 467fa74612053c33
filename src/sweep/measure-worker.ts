import type { Shim } from "../../shims/index.ts";
import type { WorkerResult } from "./protocol.ts";

/** Milliseconds on a clock that all threads of a process share: `performance.now()` is per thread. */
export function sharedClockMs(): number {
  return performance.timeOrigin + performance.now();
}

/**
 * Measures the time and the page faults of a worker from now on.
 *
 * @returns makes the worker's result, up to the time of that call
 */
export function measureWorker(shim: Shim) {
  const startedMs = sharedClockMs();
  const before = shim.faults();
  return (done: Pick<WorkerResult, "chunks" | "untouchedBytes" | "failures">): WorkerResult => {
    const after = shim.faults();
    return {
      startedMs,
      endedMs: sharedClockMs(),
      minorFaults: after.minor - before.minor,
      majorFaults: after.major - before.major,
      faultsOf: shim.countsFaultsOf,
      ...done,
    };
  };
}
