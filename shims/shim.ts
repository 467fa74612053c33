import type { FileHandle } from "node:fs/promises";
import type { DescribedFile, FileFacts } from "./file-facts.ts";

/**
 * The calls that the package needs of an operating system. There is one implementation for each system;
 * code outside this folder asks what a shim can do, never which one it is.
 *
 * Addresses are virtual addresses of this process, as bigint: a double does not hold every pointer.
 * Offsets and lengths are bytes, as number: a double holds every file size (up to 2^53).
 */
export interface Shim {
  readonly name: "linux" | "darwin" | "windows" | "portable";
  /** The system's page size, bytes. */
  readonly pageBytes: number;
  /** Whether {@link place} works: whether a file can be laid into WebAssembly memory. */
  readonly canPlace: boolean;
  /** Whether {@link populate} works: whether pages can be filled with an error in place of a signal. */
  readonly canPopulate: boolean;
  /** Whether {@link populate} may try a failing read for ever, in place of an error. */
  readonly populateMayHang: boolean;
  /** Whether {@link evict} works. */
  readonly canEvict: boolean;
  /** Whose {@link faults} are counted. */
  readonly countsFaultsOf: "thread" | "process";

  /** The address of a buffer of V8's own. */
  addressOf(buffer: SharedArrayBuffer): bigint;

  /**
   * Maps `[offset, offset + byteLength)` of the file over the pages at `address`, private and
   * writable: a stray store changes a copy of the page, where a read-only mapping would raise a signal
   * that ends the process.
   *
   * @throws {@link SystemError}
   */
  place(address: bigint, byteLength: number, fd: number, offset: number): void;

  /** Puts anonymous zero pages back over what {@link place} mapped. @throws {@link SystemError} */
  restore(address: bigint, byteLength: number): void;

  /**
   * Maps a range of the file read-only at an address that the system chooses, outside WebAssembly memory:
   * for systems that cannot {@link place}. `null` on systems that can.
   *
   * @param offset a multiple of 64 KiB
   * @throws {@link SystemError}
   */
  openView(fd: number, offset: number, byteLength: number): View | null;

  /** Gives a hint. Never fails; returns whether the system took it, which proves nothing of residency. */
  advise(address: bigint, byteLength: number, advice: Advice): boolean;

  /**
   * Drops the page tables of a mapping; the page cache keeps its pages. **Destroys private copies:**
   * what was stored through a private writable mapping is lost. Only for mappings of this package that
   * no caller has a view of. Never fails; as {@link advise}.
   */
  zapPageTables(address: bigint, byteLength: number): boolean;

  /**
   * A hint for reads of an open file: `random` reads no more than what is asked for. Never fails; `false`
   * where the system has no such hint.
   */
  adviseFile(fd: number, advice: "random" | "normal"): boolean;

  /** Asks for many ranges to be read ahead, before they are filled. Never fails; as {@link advise}. */
  prefetch(ranges: readonly FileRange[]): boolean;

  /**
   * Makes every page of the range resident and mapped. Both ends are page-aligned. Blocks.
   *
   * @throws {@link SystemError} `EFAULT` past the end of a truncated file or on a failing device
   */
  populate(address: bigint, byteLength: number): void;

  /**
   * The same on a thread of libuv's, as a hint: fulfilled when the call has returned, whether it worked
   * or not.
   */
  populateInBackground(address: bigint, byteLength: number): Promise<void>;

  /**
   * Collects what the system says of an open file, so that later decisions need no system call. Does not
   * block the event loop, since a file server may not answer. Never fails: a refused question counts as
   * not known.
   */
  describeFile(file: { readonly handle: FileHandle; readonly path: string }): Promise<FileFacts>;

  /**
   * Bytes of the file's range that are in the page cache, in whole pages; `null` when the system does
   * not say. Blocks for about 3 ms a GiB; on a file that is not local, until its server answers, so that
   * the main thread uses {@link residentBytesInBackground} there.
   */
  residentBytes(file: DescribedFile, offset: number, byteLength: number): number | null;

  /** The same on a thread of libuv's. */
  residentBytesInBackground(
    file: DescribedFile,
    offset: number,
    byteLength: number,
  ): Promise<number | null>;

  /**
   * The same as {@link residentBytes} for memory that is mapped already; both ends page-aligned. `null`
   * also where a range is not mapped. Lets the event loop run in between. On Windows, which knows only
   * this process's pages, it is a lower bound.
   */
  residentBytesAt(ranges: Iterable<AddressRange>): Promise<number | null>;

  /**
   * Page faults that a new mapping of a cached part of a file costs. Maps the part to find out.
   * `null` where that cannot be measured. Blocks.
   *
   * @param byteLength a power of two and a multiple of a large page; `offset` is a multiple of it
   */
  faultsOfNewMapping(fd: number, offset: number, byteLength: number): number | null;

  /**
   * All mappings of a file in a process, or of several, whichever code made them. `null` on systems that do not list
   * them; none for a process that may not be looked at.
   *
   * @param pid @defaultValue this process
   */
  findMappings(
    paths: string | readonly string[],
    pid?: number,
  ): Promise<readonly FoundMapping[] | null>;

  /**
   * The files that a process has mapped, each once, in the order of their first addresses. `null` on systems
   * that do not list them.
   *
   * @throws what `node:fs` throws: `ENOENT` or `ESRCH` where there is no such process, `EACCES` where it may
   *   not be looked at
   */
  mappedFiles(pid: number): Promise<readonly MappedFile[] | null>;

  /**
   * Takes pages of a process's mappings out of memory, as if memory had run short: those that no other
   * process has mapped. Lets the event loop run in between.
   *
   * @throws {@link SystemError} `EPERM` for another process without CAP_SYS_NICE, `ENOTSUP` on systems that
   *   cannot
   */
  pageOut(pid: number, ranges: readonly AddressRange[]): Promise<void>;

  /** Bytes that this process may lock, those that it has locked included; `Infinity` without a limit. */
  lockableBytes(): number;

  /** Maps a file to lock parts of it. @throws {@link SystemError} `ENOTSUP` on systems that cannot */
  openLock(fd: number, byteLength: number): MemoryLock;

  /**
   * Asks the system to drop the range from the page cache. Runs on a thread of libuv's on Linux, where
   * it may wait for a server. Rejects with a {@link SystemError}.
   */
  evict(fd: number, offset: number, byteLength: number): Promise<void>;

  /** Page faults of the calling thread so far; of the process where the system does not count by thread. */
  faults(): Faults;

  /**
   * A lease against truncation, one for each thread and file: while it is held, no program can shrink
   * the file. `null` where the system grants none.
   */
  openLease(file: DescribedFile): FileLease | null;

  /** The system's own figures of memory; `null` where `/proc` and `node:os` are more exact. */
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

/** A range of an open file. Bytes. */
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

/** A file that a process has mapped. */
export interface MappedFile {
  /** What its path may be for that process: a system's listing may be read in two ways. */
  readonly paths: readonly string[];
  readonly ino: bigint;
  /** Bytes of addresses over it, of all its mappings. */
  readonly byteLength: number;
}

/** A mapping of a file in a process. */
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

/** A lock against truncation of one file. Held for one batch at a time. */
export interface FileLease {
  /** @returns false while another program has the file open for writing */
  hold(): boolean;
  release(): void;
  close(): void;
}

/** Parts of a file that stay in memory until the lock is closed, or the process ends. */
export interface MemoryLock {
  /**
   * Locks a range, reading what of it is not resident. Both ends are page-aligned, but for the end of
   * the file. Rejects with a {@link SystemError}: `ENOMEM`, `EAGAIN` or `EPERM` beyond the limit.
   */
  lock(offset: number, byteLength: number): Promise<void>;
  /** Also while {@link lock} is under way, which then ends early. To be called once. */
  close(): void;
}

/** A system's own figures of its memory. Bytes. */
export interface SystemMemory {
  readonly totalBytes: number;
  /** What can be allocated without writing anything to disk, cached pages of files included. */
  readonly availableBytes: number;
}
