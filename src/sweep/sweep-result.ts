import type { SweepControl } from "../control/sweep-control.ts";
import { messageOf } from "../describe.ts";
import type { FailureReport } from "../fill/failure.ts";
import type { EarlyPopulate } from "./early-populate.ts";
import { WorkerNotStarted } from "./pool.ts";
import type { WorkerResult } from "./protocol.ts";

/** The result of a sweep. */
export interface SweepResult {
  readonly chunks: number;
  /** Worker threads that filled; 0 when libuv's threads did. */
  readonly workers: number;
  readonly seconds: number;
  /** By file, on systems where only the sweep's own mapping shows residency; `null` on others. */
  readonly residentBytes: readonly (number | null)[] | null;
  readonly minorFaults: number;
  readonly majorFaults: number;
  /** Whether the filled bytes lie in large folios in the page cache; `null` when it is not known. */
  readonly largeFolios: boolean | null;
  /** Bytes filled but not touched, because no lease on their file could be had. */
  readonly untouchedBytes: number;
  readonly failures: readonly FailureReport[];
}

/**
 * The results of the workers that ran. A worker that did not start is ignored when another one did.
 *
 * @throws the error of a worker that died; {@link WorkerNotStarted} when no worker took a chunk
 */
export function resultsOf(
  workers: readonly PromiseSettledResult<WorkerResult>[],
  control: SweepControl,
) {
  const failed = workers.flatMap((worker) => (worker.status === "rejected" ? [worker.reason] : []));
  const results = workers.flatMap((worker) =>
    worker.status === "fulfilled" ? [worker.value] : [],
  );
  const died = failed.find((reason) => !(reason instanceof WorkerNotStarted));
  if (failed.length > 0 && !control.hasBegun) {
    const [first] = failed;
    throw first instanceof WorkerNotStarted ? first : new WorkerNotStarted(messageOf(first), first);
  }
  if (died !== undefined) throw died;
  if (results.length === 0) throw failed[0];
  return results;
}

/** Failures of several workers come in any order. */
function inFileOrder(a: FailureReport, b: FailureReport): number {
  if (a.path === b.path) return a.offset - b.offset;
  return a.path < b.path ? -1 : 1;
}

/** Adds up the results of the workers. */
export function summary(
  results: readonly WorkerResult[],
  control: SweepControl,
  early: EarlyPopulate | null,
) {
  const sum = (of: (result: WorkerResult) => number) =>
    results.reduce((total, result) => total + of(result), 0);
  // Workers that count the faults of the process all count the same ones.
  const faults = (of: (result: WorkerResult) => number) =>
    results.some(({ faultsOf }) => faultsOf === "process") ? Math.max(...results.map(of)) : sum(of);
  // A thread that began when all chunks were taken has not filled: on 16 processors the last of as many begins 75 ms
  // after the first, and 16 GiB that are resident are touched in less.
  const filled = results.filter(({ chunks }) => chunks > 0);
  const timed = filled.length > 0 ? filled : results;
  const startedMs = early?.startedMs ?? Math.min(...timed.map((result) => result.startedMs));
  const endedMs = Math.max(...timed.map((result) => result.endedMs));
  return {
    seconds: (endedMs - startedMs) / 1000,
    minorFaults: faults((result) => result.minorFaults),
    majorFaults: faults((result) => result.majorFaults),
    untouchedBytes: sum((result) => result.untouchedBytes),
    largeFolios: control.largeFolios,
    failures: results.flatMap((result) => result.failures).sort(inFileOrder),
  };
}
