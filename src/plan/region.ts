/** A range of bytes of a file that should become resident. */
export interface FileRegion {
  readonly path: string;
  /** Bytes from the start of the file. @defaultValue `0` */
  readonly offset?: number;
  /** Bytes. @defaultValue up to the end of the file */
  readonly byteLength?: number;
  /**
   * The file's identity when the region was found. Another file at the same path is refused.
   *
   * @defaultValue any file
   */
  readonly identity?: string | undefined;
  /** The tensor that it holds, for `plan` and the report. */
  readonly tensor?: string;
  /** Why it stays on the CPU, in words. */
  readonly reason?: string;
}

/**
 * A range of this process's memory that other code mapped from a file: an engine through FFI, an addon. It
 * is filled in place, page tables included. Regions with an address or a length of 0 are ignored.
 */
export interface AddressRegion {
  /** Virtual address. Need not be aligned: the pages it touches are filled. */
  readonly address: bigint;
  /** Bytes. */
  readonly byteLength: number;
}
