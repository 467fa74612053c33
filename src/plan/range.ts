/** A range of bytes: of a file, or of the flat arena space. */
export interface Range {
  readonly offset: number;
  readonly byteLength: number;
}

/** The whole pages a range touches; none for a range of no length. */
export function pagesOf({ offset, byteLength }: Range, pageBytes: number): Range {
  const start = offset - (offset % pageBytes);
  const end = Math.ceil((offset + byteLength) / pageBytes) * pageBytes;
  return { offset: start, byteLength: byteLength === 0 ? 0 : end - start };
}
