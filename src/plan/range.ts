/** A range of bytes: of a file, or of the flat arena space. */
export interface Range {
  readonly offset: number;
  readonly byteLength: number;
}

/** The whole pages that a range touches; none for an empty range. */
export function pagesOf({ offset, byteLength }: Range, pageBytes: number): Range {
  const start = offset - (offset % pageBytes);
  const end = Math.ceil((offset + byteLength) / pageBytes) * pageBytes;
  return { offset: start, byteLength: byteLength === 0 ? 0 : end - start };
}
