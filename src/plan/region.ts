/** A range of bytes of a file that should become resident. */
export interface FileRegion {
  readonly path: string;
  /** Bytes from the start of the file. @defaultValue `0` */
  readonly offset?: number;
  /** Bytes. @defaultValue up to the end of the file */
  readonly byteLength?: number;
  /**
   * The file's identity when the region was found in it; another file by the same name is refused.
   *
   * @defaultValue any file
   */
  readonly identity?: string | undefined;
  /** The tensor it holds, for `plan` and the report. */
  readonly tensor?: string;
  /** Why it stays on the CPU, in words. */
  readonly reason?: string;
}

/**
 * A range of this process's memory that somebody else mapped from a file: an engine through FFI, an
 * addon. It is filled in place, page tables and all. Null and empty ones are ignored.
 */
export interface AddressRegion {
  /** Virtual address. Need not be aligned: the pages it touches are filled. */
  readonly address: bigint;
  /** Bytes. */
  readonly byteLength: number;
}
