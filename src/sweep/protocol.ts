import type { Window } from "../arena/layout.ts";
import type { PrefaultErrorCode } from "../errors.ts";
import type { FileSource } from "../files.ts";

declare global {
  namespace WebAssembly {
    // For consumers whose `lib` has no "dom"; where there is one, the two merge.
    interface Memory {
      grow(delta: number): number;
    }
  }
}

/**
 * How a chunk is filled.
 *
 * - `populate`: the kernel fills a window of the mapping, then the WASM kernel touches it.
 * - `touch`: the WASM kernel alone; each fault on the way waits for the device.
 * - `read`: positional reads into a small buffer. Works everywhere, and never raises a signal.
 */
export type FillStrategy = "populate" | "touch" | "read";

/** What one lane is told: once, at the start. Memory is shared, nothing is copied but numbers. */
export interface LaneTask {
  /** The sweep's {@link ControlPage}. */
  readonly control: SharedArrayBuffer;
  /** The {@link RangeTable} the lanes drain together. */
  readonly chunks: SharedArrayBuffer;
  /** The {@link DoneChunks} the lanes mark. */
  readonly done: SharedArrayBuffer;
  /** Empty for the `read` strategy. */
  readonly arenas: readonly LaneArena[];
  /** Address of each window, where windows are views of their own; else empty. */
  readonly views: readonly bigint[];
  readonly windows: readonly Window[];
  /** By {@link Window.file}; none when the windows are addresses of this process's memory. */
  readonly files: readonly FileSource[];
  readonly strategy: FillStrategy;
  /** By file, whether faults on its mapping should read one large folio each. */
  readonly exactFolios: readonly boolean[];
  /** Bytes a read-ahead hint may cover, so that the system honours it in full. */
  readonly hintBytes: number;
  /** Whether the mapping stays in use, so that its page tables are worth keeping. */
  readonly keepTables: boolean;
  /** Whether to go on with the next chunk after one failed. */
  readonly keepGoing: boolean;
}

export interface LaneArena {
  readonly memory: WebAssembly.Memory;
  readonly base: bigint;
  readonly skew: number;
}

/** What one lane says when it is done. */
export interface LaneResult {
  /** On a clock that all threads share, in milliseconds. */
  readonly startedMs: number;
  readonly endedMs: number;
  readonly minorFaults: number;
  readonly majorFaults: number;
  /** Whether those are the lane's own, or everyone's while it ran. */
  readonly faultsOf: "thread" | "process";
  /** Bytes filled but not touched, because the file could not be held still. */
  readonly untouchedBytes: number;
  readonly failures: readonly LaneFailure[];
}

/** A failure as plain data: an error's class does not survive the way between threads. */
export interface LaneFailure {
  readonly code: PrefaultErrorCode;
  readonly message: string;
  readonly errno: string | undefined;
  readonly path: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  /** Bytes that were not made resident. */
  readonly byteLength: number;
}
