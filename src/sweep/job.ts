import type { Window } from "../arena/layout.ts";
import type { Mapping } from "../arena/mapping.ts";
import type { FileSource } from "../files.ts";
import type { RangeTable } from "../plan/range-table.ts";
import type { DoneChunks } from "./done-chunks.ts";
import type { FillStrategy } from "./protocol.ts";

/** How far a sweep has come. */
export interface SweepProgress {
  /** Bytes made resident so far. */
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

export interface SweepJob {
  readonly files: readonly FileSource[];
  readonly windows: readonly Window[];
  /** In the order they are filled. */
  readonly chunks: RangeTable;
  /** Where the windows are mapped; none for the `read` strategy. */
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
  readonly onProgress: ((progress: SweepProgress) => void) | undefined;
}
