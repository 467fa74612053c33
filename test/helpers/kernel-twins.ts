/**
 * What each kernel of `assembly/` computes, written down once more in the plainest way: numbers of
 * any size, new arrays, no memory. Used by tests only.
 */

export interface Region {
  readonly offset: bigint;
  readonly byteLength: bigint;
}

export function sortRegions(regions: readonly Region[]): Region[] {
  return [...regions].sort((a, b) => Number(a.offset - b.offset)); // stable since ES2019
}

/** @param sorted by offset */
export function mergeRegions(sorted: readonly Region[], pageBytes: number): Region[] {
  const page = BigInt(pageBytes);
  const merged: { first: bigint; last: bigint }[] = [];
  for (const { offset, byteLength } of sorted) {
    if (byteLength === 0n) continue;
    const first = (offset / page) * page;
    const last = ((offset + byteLength + page - 1n) / page) * page;
    const before = merged.at(-1);
    if (before === undefined || first > before.last) merged.push({ first, last });
    else if (last > before.last) before.last = last;
  }
  return merged.map(({ first, last }) => ({ offset: first, byteLength: last - first }));
}

export function cutChunks(regions: readonly Region[], chunkBytes: number): Region[] {
  const grid = BigInt(chunkBytes);
  return regions.flatMap(({ offset, byteLength }) => {
    const chunks: Region[] = [];
    const end = offset + byteLength;
    for (let at = offset; at < end; ) {
      const cut = (at / grid + 1n) * grid;
      const stop = cut < end ? cut : end;
      chunks.push({ offset: at, byteLength: stop - at });
      at = stop;
    }
    return chunks;
  });
}

/** The sum of one byte every `pageBytes` from `address` on, and of the last byte, modulo 2^32. */
export function touchPages(
  memory: Uint8Array,
  address: number,
  byteLength: number,
  pageBytes: number,
): number {
  if (byteLength === 0) return 0;
  let sum = memory[address + byteLength - 1] ?? 0;
  for (let at = 0; at < byteLength; at += pageBytes) sum += memory[address + at] ?? 0;
  return sum >>> 0;
}
