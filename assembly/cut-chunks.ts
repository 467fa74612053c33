import { length_of, offset_of, REGION_BYTES, store_region } from "./region";

/**
 * Cuts `count` regions into chunks of at most `chunkBytes`, written to `chunks` in the same order.
 * Returns how many there are; when that is more than `capacity`, only the first `capacity` were
 * written and the caller calls again with more room (a capacity of 0 only counts).
 *
 * The cuts fall on multiples of `chunkBytes`, not at `chunkBytes` from a region's start, so that a
 * chunk covers whole large folios and no two workers fill the same folio.
 *
 * ```
 *   regions        [------------------------)     [-----)
 *   grid        |         |         |         |         |
 *   chunks         [------)[-------)[-------)     [---)[-)
 * ```
 */
export function cut_chunks(
  regions: usize,
  count: u32,
  chunks: usize,
  capacity: u32,
  chunkBytes: u32,
): u32 {
  const grid = <u64>chunkBytes;
  let written: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const region = regions + <usize>i * REGION_BYTES;
    let at = offset_of(region);
    const end = at + length_of(region);
    while (at < end) {
      const cut = (at / grid + 1) * grid;
      const stop = cut < end ? cut : end;
      if (written < capacity) {
        store_region(chunks + <usize>written * REGION_BYTES, at, stop - at);
      }
      written++;
      at = stop;
    }
  }
  return written;
}
