import type { Extent } from "../arena/layout.ts";
import type { FileSource } from "../file/open-file.ts";

/**
 * How a chunk is filled.
 *
 * - `populate`: the kernel fills a batch of the mapping, then the WASM kernel touches it.
 * - `touch`: the WASM kernel touches the mapping; each fault waits for the device.
 * - `read`: positional reads into a small buffer. Works everywhere, and never raises a signal.
 */
export type FillStrategy = "populate" | "touch" | "read";

/** The files or addresses to fill, and how. Plain data: it is sent to a worker thread. */
export interface FillTask {
  /** Empty for the `read` strategy. */
  readonly arenas: readonly TaskArena[];
  /** Address of each extent, on systems where extents are views; else empty. */
  readonly views: readonly bigint[];
  readonly extents: readonly Extent[];
  /** By {@link Extent.file}; none when the extents are addresses of this process's memory. */
  readonly files: readonly FileSource[];
  readonly strategy: FillStrategy;
  /** By file, whether each fault on its mapping should read one large folio. */
  readonly folioFaults: readonly boolean[];
  /** Bytes of one read-ahead hint: no more than the system reads for it. */
  readonly hintBytes: number;
  /** Whether the mapping stays in use after the sweep, so that its page tables are kept. */
  readonly keepPageTables: boolean;
}

/** An arena, in the form that is sent to another thread. */
export interface TaskArena {
  readonly memory: WebAssembly.Memory;
  /** Virtual address of byte 0 of the memory. */
  readonly base: bigint;
  /** Bytes to add to an extent's start. */
  readonly alignOffset: number;
}
