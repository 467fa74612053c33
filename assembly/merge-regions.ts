import { length_of, offset_of, REGION_BYTES, store_region } from "./region";

/**
 * Widens each of `count` sorted regions to whole pages and joins those that overlap or touch, in
 * place. Empty regions are dropped. Returns how many regions are left.
 *
 * `pageBytes` is a power of two. Every `offset + byteLength` is at most 2^63, so that widening
 * cannot overflow; the caller checks that.
 */
export function merge_regions(regions: usize, count: u32, pageBytes: u32): u32 {
  const mask = <u64>pageBytes - 1;
  let kept: u32 = 0;
  let start: u64 = 0;
  let end: u64 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const region = regions + <usize>i * REGION_BYTES;
    const byteLength = length_of(region);
    if (byteLength == 0) continue;
    const offset = offset_of(region);
    const first = offset & ~mask;
    const last = (offset + byteLength + mask) & ~mask;
    if (kept != 0 && first <= end) {
      if (last > end) end = last;
    } else {
      if (kept != 0) store_region(regions + <usize>(kept - 1) * REGION_BYTES, start, end - start);
      start = first;
      end = last;
      kept++;
    }
  }
  if (kept != 0) store_region(regions + <usize>(kept - 1) * REGION_BYTES, start, end - start);
  return kept;
}
