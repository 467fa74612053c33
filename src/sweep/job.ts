import type { Extent } from "../arena/layout.ts";
import type { Mapping } from "../arena/mapping.ts";
import type { TurnWord } from "../control/turn-word.ts";
import type { FileSource } from "../file/open-file.ts";
import type { FillStrategy } from "../fill/fill-task.ts";
import type { Reserve } from "../memory/reserve-watch.ts";
import type { RangeTable } from "../plan/range-table.ts";
import type { DoneChunks } from "./done-chunks.ts";

/** The progress of a sweep. */
export interface PrefaultProgress {
  /** Bytes made resident so far. */
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

/** All that a sweep needs. */
export interface SweepJob {
  readonly files: readonly FileSource[];
  readonly extents: readonly Extent[];
  /** In the order in which they are filled. */
  readonly chunks: RangeTable;
  /** Where the extents are mapped; none for the `read` strategy. */
  readonly mapping: Mapping | null;
  readonly strategy: FillStrategy;
  /** Where an engine may read the same files; `null` where that is not looked at. */
  readonly turns: TurnWord | null;
  /** Whether nearly all bytes are resident already, so that the device has little to read. */
  readonly isWarm: boolean;
  /** Each chunk is marked here when it is resident. */
  readonly done: DoneChunks;
  /** Worker threads at most; 0 to fill on libuv's threads. */
  readonly workers: number;
  /** Of the worker threads, those that start at once; the others start where the fill takes long. */
  readonly firstWorkers: number;
  readonly keepGoing: boolean;
  /** What a budget leaves to others, where it was computed. */
  readonly reserve: Reserve | null;
  readonly workerUrl: URL;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: PrefaultProgress) => void) | undefined;
}
