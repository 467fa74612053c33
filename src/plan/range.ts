/** A range of bytes: of a file, or of the flat arena space. */
export interface Range {
  readonly offset: number;
  readonly byteLength: number;
}
