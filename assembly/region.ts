/**
 * A region in the memory of the planning kernels: two u64, 8-byte aligned, one region after the other.
 *
 * ```
 *   +0  offset      bytes from the start of the file (or of the flat arena space)
 *   +8  byteLength  bytes
 *   +16 the next region
 * ```
 */

export const REGION_BYTES: usize = 16;

export function offset_of(region: usize): u64 {
  return load<u64>(region);
}

export function length_of(region: usize): u64 {
  return load<u64>(region, 8);
}

export function store_region(region: usize, offset: u64, byteLength: u64): void {
  store<u64>(region, offset);
  store<u64>(region, byteLength, 8);
}
