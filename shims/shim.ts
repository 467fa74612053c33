import type { FileHandle } from "node:fs/promises";

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

  /**
   * Drops the page tables of a mapping; the page cache keeps its pages. **Destroys private copies:**
   * what was stored through a private writable mapping is lost, as if it had never been written. Only
   * for mappings of this package's own that nobody else has seen. Never fails; as {@link advise}.
   */
  zapPageTables(address: bigint, byteLength: number): boolean;

  /**
   * A hint for reads of an open file: `random` reads no more than what is asked for. Never fails; `false`
   * where the system has no such hint.
   */
  adviseFile(fd: number, advice: "random" | "normal"): boolean;

  /** A hint over many ranges in one call, before they are filled. Never fails; as {@link advise}. */
  prefetch(ranges: readonly FileRange[]): boolean;

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
   * What the system says of an open file, for every later question about it. Asked without holding up
   * the event loop, since a server may not answer. Never fails: what is refused is not known.
   */
  describeFile(file: { readonly handle: FileHandle; readonly path: string }): Promise<FileFacts>;

  /**
   * Bytes of the file's range that are in the page cache, in whole pages; `null` when the system
   * will not say. Blocks for about 3 ms a GiB; on a file that is not local, for as long as its server
   * does not answer: the main thread asks {@link residentBytesInBackground} there.
   */
  residentBytes(file: DescribedFile, offset: number, byteLength: number): number | null;

  /** The same on a thread of libuv's. */
  residentBytesInBackground(
    file: DescribedFile,
    offset: number,
    byteLength: number,
  ): Promise<number | null>;

  /**
   * The same as {@link residentBytes} for what is mapped already; both ends page-aligned. `null` also
   * where a range is not mapped. The event loop turns meanwhile. Where the system knows of this
   * process's pages only, at least this much is in memory.
   */
  residentBytesAt(ranges: Iterable<AddressRange>): Promise<number | null>;

  /**
   * Page faults that a new mapping of a part of a file costs, once the part is cached: it is mapped
   * for this question alone. `null` where that cannot be told. Blocks.
   *
   * @param offset and byteLength: multiples of a large page
   */
  faultsOfNewMapping(fd: number, offset: number, byteLength: number): number | null;

  /**
   * Where this process has a file mapped, whoever did it: what of the file, and where. `null` when
   * the system has no way to say.
   */
  findMappings(path: string): Promise<readonly FoundMapping[] | null>;

  /**
   * Asks the system to drop the range from the page cache. On a thread of libuv's where the system
   * may wait for a server. Rejects with a {@link SystemError}.
   */
  evict(fd: number, offset: number, byteLength: number): Promise<void>;

  /** Page faults of the calling thread so far; of the process where threads are not told apart. */
  faults(): Faults;

  /**
   * A lease against truncation, one for each thread and file: while it is held, no one can shrink
   * the file. `null` where there is none.
   */
  openLease(file: DescribedFile): FileLease | null;

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

/** A chunk of an open file. Bytes. */
export interface FileRange {
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
  /** Read no more than what is asked for. */
  | "random"
  /** Read ahead as the system likes. */
  | "normal";

export interface Faults {
  readonly minor: number;
  readonly major: number;
}

/** Holds a file still for a moment. */
export interface FileLease {
  /** False when it cannot be held just now: someone has the file open for writing. */
  hold(): boolean;
  release(): void;
  close(): void;
}

/** An open file with what the system said of it. Plain data: it can be sent to a thread. */
export interface DescribedFile {
  readonly path: string;
  readonly fd: number;
  readonly facts: FileFacts;
}

/** What a system says of an open file. */
export interface FileFacts {
  /** `f_type` of statfs(2); `null` where the system does not tell, and on systems that have none. */
  readonly fsType: number | null;
  /**
   * Whether a device of this machine answers for the file: it fails in the end, where another machine
   * or program may never answer. True on systems that do not tell.
   */
  readonly isLocal: boolean;
  /** Whether a disk with rotating platters holds it. False where the system does not tell. */
  readonly isRotational: boolean;
  /** Bytes the system reads ahead of a reader of the file; `null` where it does not tell. */
  readonly readAheadBytes: number | null;
  /** Whether this process is told which pages of a mapping of the file are resident. */
  readonly mayKnow: boolean;
  /**
   * Whether the file can be mapped without waiting for another machine. The process's memory map is
   * locked for as long as that takes, so that every thread stands still which allocates or faults.
   */
  readonly mayMap: boolean;
  /** Whether the system counts the file's resident pages without a mapping. */
  readonly countsPages: boolean;
  /** Whether a count of 0 may mean that another file holds the pages. */
  readonly countsOnlyItsOwn: boolean;
}

/** Of a system that tells nothing, and on which files are mapped or read like local ones. */
export const UNKNOWN_FACTS: FileFacts = {
  fsType: null,
  isLocal: true,
  isRotational: false,
  readAheadBytes: null,
  mayKnow: true,
  mayMap: true,
  countsPages: false,
  countsOnlyItsOwn: false,
};

/** Memory of this process. */
export interface AddressRange {
  readonly address: bigint;
  readonly byteLength: number;
}

/** What a system says of its memory itself, where that beats `node:os`. Bytes. */
export interface SystemMemory {
  readonly totalBytes: number;
  /** What can be had without writing anything out, cached pages of files included. */
  readonly availableBytes: number;
}
