import type { Extent } from "../arena/layout.ts";
import type { Mapping } from "../arena/mapping.ts";
import type { FileSource } from "../file/open-file.ts";
import type { FillStrategy } from "../fill/fill-task.ts";
import type { RangeTable } from "../plan/range-table.ts";
import type { DoneChunks } from "./done-chunks.ts";

/** How far a sweep has come. */
export interface PrefaultProgress {
  /** Bytes made resident so far. */
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

export interface SweepJob {
  readonly files: readonly FileSource[];
  readonly extents: readonly Extent[];
  /** In the order they are filled. */
  readonly chunks: RangeTable;
  /** Where the extents are mapped; none for the `read` strategy. */
  readonly mapping: Mapping | null;
  readonly strategy: FillStrategy;
  /** Whether there is next to nothing to be read from the device. */
  readonly isWarm: boolean;
  /** Marked chunk by chunk, for whoever waits for a part. */
  readonly done: DoneChunks;
  /** Worker threads wanted; 0 to read on the calling thread. */
  readonly workers: number;
  readonly keepGoing: boolean;
  readonly workerUrl: URL;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: PrefaultProgress) => void) | undefined;
}
