import type { FillFailure } from "../fill/failure.ts";
import type { FillTask } from "../fill/fill-task.ts";

/** What a worker is told: once, at the start. Memory is shared, nothing is copied but numbers. */
export interface WorkerTask extends FillTask {
  /** The sweep's {@link SweepControl}. */
  readonly control: SharedArrayBuffer;
  /** The {@link RangeTable} that the workers take chunks from. */
  readonly chunks: SharedArrayBuffer;
  /** The {@link DoneChunks} that the workers mark. */
  readonly done: SharedArrayBuffer;
  /** Whether to go on with the next chunk after one failed. */
  readonly keepGoing: boolean;
}

/** What a worker says when it is done. */
export interface WorkerResult {
  /** On a clock that all threads share, in milliseconds. */
  readonly startedMs: number;
  readonly endedMs: number;
  readonly minorFaults: number;
  readonly majorFaults: number;
  /** Whether those are the worker's own, or everyone's while it ran. */
  readonly faultsOf: "thread" | "process";
  /** Bytes filled but not touched, because the file could not be held still. */
  readonly untouchedBytes: number;
  readonly failures: readonly FillFailure[];
}
