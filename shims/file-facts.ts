/** An open file with what the system says of it. Plain data: it can be sent to a thread. */
export interface DescribedFile {
  readonly path: string;
  readonly fd: number;
  readonly facts: FileFacts;
}

/** What a system says of an open file. */
export interface FileFacts {
  /**
   * Whether the file lies on a device of this machine, where a failing read ends with an error. Another
   * machine or program may never answer. True on systems that do not tell.
   */
  readonly isLocal: boolean;
  /** Whether a disk with rotating platters holds it. False where the system does not tell. */
  readonly isRotational: boolean;
  /** Bytes the system reads ahead of a reader of the file; `null` where it does not tell. */
  readonly readAheadBytes: number | null;
  /** Whether `mincore` tells this process the truth about a mapping of the file. */
  readonly mayKnow: boolean;
  /**
   * Whether the file can be mapped without waiting for another machine. While such a mapping waits, the
   * process's memory map is locked, so that every thread stands still that allocates or faults.
   */
  readonly mayMap: boolean;
  /** Whether the system counts the file's resident pages without a mapping. */
  readonly countsPages: boolean;
  /** Whether a count of 0 may mean that the page cache keeps the pages under another file. */
  readonly countsOnlyItsOwn: boolean;
}

/** For systems that tell nothing, and on which all files are mapped or read like local ones. */
export const UNKNOWN_FACTS: FileFacts = {
  isLocal: true,
  isRotational: false,
  readAheadBytes: null,
  mayKnow: true,
  mayMap: true,
  countsPages: false,
  countsOnlyItsOwn: false,
};
