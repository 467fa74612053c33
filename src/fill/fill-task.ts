import type { Extent } from "../arena/layout.ts";
import type { FileSource } from "../file/open-file.ts";

/**
 * How a chunk is filled.
 *
 * - `populate`: the kernel fills a batch of the mapping, then the WASM kernel touches it.
 * - `touch`: the WASM kernel alone; each fault on the way waits for the device.
 * - `read`: positional reads into a small buffer. Works everywhere, and never raises a signal.
 */
export type FillStrategy = "populate" | "touch" | "read";

/** What is filled, and how. Plain data: it is sent to a worker thread. */
export interface FillTask {
  /** Empty for the `read` strategy. */
  readonly arenas: readonly TaskArena[];
  /** Address of each extent, where extents are views of their own; else empty. */
  readonly views: readonly bigint[];
  readonly extents: readonly Extent[];
  /** By {@link Extent.file}; none when the extents are addresses of this process's memory. */
  readonly files: readonly FileSource[];
  readonly strategy: FillStrategy;
  /** By file, whether faults on its mapping should read one large folio each. */
  readonly folioFaults: readonly boolean[];
  /** Bytes a read-ahead hint may cover, so that the system honours it in full. */
  readonly hintBytes: number;
  /** Whether the mapping stays in use, so that its page tables are worth keeping. */
  readonly keepPageTables: boolean;
}

/** An arena, as another thread gets it. */
export interface TaskArena {
  readonly memory: WebAssembly.Memory;
  /** Virtual address of byte 0 of the memory. */
  readonly base: bigint;
  /** Bytes to add to an extent's start. */
  readonly alignOffset: number;
}
