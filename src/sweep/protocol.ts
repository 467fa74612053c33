import type { FailureReport } from "../fill/failure.ts";
import type { FillTask } from "../fill/fill-task.ts";
import type { Reserve } from "../memory/reserve-watch.ts";

/** The message that starts a worker. Memory is shared; only numbers and names are copied. */
export interface WorkerTask extends FillTask {
  /** The sweep's {@link SweepControl}. */
  readonly control: SharedArrayBuffer;
  /** The {@link RangeTable} that the workers take chunks from. */
  readonly chunks: SharedArrayBuffer;
  /** The {@link DoneChunks} that the workers mark. */
  readonly done: SharedArrayBuffer;
  /** Whether to go on with the next chunk after one failed. */
  readonly keepGoing: boolean;
  /** The sweep's {@link TurnWord}, where an engine may read the same files. */
  readonly turns: Int32Array | null;
  /** What a budget leaves to others, where it was computed. */
  readonly reserve: Reserve | null;
}

/** The message of a worker that has ended. */
export interface WorkerResult {
  /** On a clock that all threads share, in milliseconds. */
  readonly startedMs: number;
  readonly endedMs: number;
  /** Chunks that it took; none for one that began when all were taken. */
  readonly chunks: number;
  readonly minorFaults: number;
  readonly majorFaults: number;
  /** Whether those are the worker's own, or those of the whole process while it ran. */
  readonly faultsOf: "thread" | "process";
  /** Bytes filled but not touched, because no lease on the file could be had. */
  readonly untouchedBytes: number;
  readonly failures: readonly FailureReport[];
}
