import type { SystemMemory } from "../src/memory/memory.ts";

/**
 * What the package needs of an operating system. One implementation a platform; nothing above this
 * folder asks which one it got, only what it can do.
 *
 * Addresses are virtual addresses of this process, as bigint: a pointer does not fit a double.
 * Offsets and lengths are bytes, as number: a file does (2^53).
 */
export interface Shim {
  readonly name: "linux" | "darwin" | "windows" | "portable";
  /** The system's page size, bytes. */
  readonly pageBytes: number;
  /** Whether {@link place} works: whether a file can be laid into WebAssembly memory. */
  readonly canPlace: boolean;
  /** Whether {@link populate} works: whether pages can be filled with an error in place of a signal. */
  readonly canPopulate: boolean;
  /** Whether {@link evict} works. */
  readonly canEvict: boolean;
  /** Whose {@link faults} are counted. */
  readonly countsFaultsOf: "thread" | "process";

  /** The address at which V8 keeps a buffer. The buffer is V8's own; nothing foreign is wrapped. */
  addressOf(buffer: SharedArrayBuffer): bigint;

  /**
   * Maps `[offset, offset + byteLength)` of the file over the pages at `address`, private and
   * writable: a stray store changes a copy, where a read-only mapping would kill the process.
   *
   * @throws {@link SystemError}
   */
  place(address: bigint, byteLength: number, fd: number, offset: number): void;

  /** Puts anonymous zero pages back over what {@link place} mapped. @throws {@link SystemError} */
  restore(address: bigint, byteLength: number): void;

  /**
   * Maps a range of the file where the system likes, read-only, and outside WebAssembly memory: the
   * way of a system that cannot {@link place}. `null` where that one serves.
   *
   * @param offset a multiple of 64 KiB
   * @throws {@link SystemError}
   */
  openView(fd: number, offset: number, byteLength: number): View | null;

  /** A hint. Never fails; says whether the system took it, which proves nothing about residency. */
  advise(address: bigint, byteLength: number, advice: Advice): boolean;

  /** A hint over many ranges in one call, before they are filled. Never fails; as {@link advise}. */
  prefetch(ranges: readonly FileStretch[]): boolean;

  /**
   * Makes every page of the range resident and mapped. Both ends are page-aligned. Blocks.
   *
   * @throws {@link SystemError} `EFAULT` past the end of a truncated file or on a failing device
   */
  populate(address: bigint, byteLength: number): void;

  /**
   * The same on a thread of libuv's, for whoever does not mind whether it works: fulfilled when it is
   * over, however it ended.
   */
  populateInBackground(address: bigint, byteLength: number): Promise<void>;

  /**
   * Bytes of the file's range that are in the page cache, in whole pages; `null` when the system
   * will not say. Blocks for about 3 ms a GiB.
   */
  residentBytes(fd: number, offset: number, byteLength: number): number | null;

  /** One byte for each page of the range, 1 when it is in the page cache; `null` as above. */
  residencyMap(fd: number, offset: number, byteLength: number): Uint8Array | null;

  /**
   * The same as {@link residentBytes} for what is mapped already; both ends page-aligned. Where the
   * system knows of this process's pages only, at least this much is in memory.
   */
  residentBytesAt(address: bigint, byteLength: number): number | null;

  /**
   * Whether the answers of {@link residentBytesAt} for these ranges of this process's memory mean
   * anything. Asked once for many ranges: it takes a look at every mapping of the process.
   */
  tellsResidencyAt(ranges: readonly AddressRange[]): Promise<boolean>;

  /**
   * Where this process has a file mapped, whoever did it: what of the file, and where. `null` when
   * the system has no way to say.
   */
  findMappings(path: string): Promise<readonly FoundMapping[] | null>;

  /** Asks the system to drop the range from the page cache. @throws {@link SystemError} */
  evict(fd: number, offset: number, byteLength: number): void;

  /** Page faults of the calling thread so far; of the process where threads are not told apart. */
  faults(): Faults;

  /**
   * Whether a device of this machine answers for the file: it fails in the end where another machine
   * or program may never answer. True where the system does not tell.
   */
  isLocal(fd: number): boolean;

  /** Whether it lies on a disk with an arm. False where the system does not tell. */
  isSpinning(fd: number): boolean;

  /** Bytes the system reads ahead on the file's device; `null` where it does not tell. */
  readAheadBytes(fd: number): number | null;

  /**
   * A fence against truncation, one for each thread and file: while it is held, no one can shrink
   * the file. `null` where there is none.
   */
  openFence(fd: number): Fence | null;

  /** What the system itself says of memory; `null` where `/proc` and `node:os` say it better. */
  memory(): SystemMemory | null;

  /** Ends the process without waiting for its threads, where the system can. */
  exit(code: number): void;
}

/** A part of a file mapped outside WebAssembly memory. */
export interface View {
  readonly address: bigint;
  /** Unmaps it. To be called once. */
  close(): void;
}

/** A stretch of an open file. Bytes. */
export interface FileStretch {
  readonly fd: number;
  readonly offset: number;
  readonly byteLength: number;
  /** Where it is mapped; 0 when it is not. */
  readonly address: bigint;
}

/** A range of this process's memory. Bytes. */
export interface AddressRange {
  readonly address: bigint;
  readonly byteLength: number;
}

/** A mapping of a file in this process. */
export interface FoundMapping {
  readonly address: bigint;
  /** Bytes, whole pages: the last may reach past the end of the file. */
  readonly byteLength: number;
  /** Bytes from the start of the file. */
  readonly offset: number;
}

export type Advice =
  /** Read ahead. */
  | "will-need"
  /** Read ahead in large folios, so that one later fault maps 2 MiB. */
  | "huge-pages"
  /** Drop this mapping's page tables; the page cache keeps the pages. */
  | "drop-tables"
  /** Read no more than what is asked for. */
  | "random"
  /** Read ahead as the system likes. */
  | "normal";

export interface Faults {
  readonly minor: number;
  readonly major: number;
}

/** Holds a file still for a moment. */
export interface Fence {
  /** False when it cannot be held just now: someone has the file open for writing. */
  hold(): boolean;
  release(): void;
  close(): void;
}
