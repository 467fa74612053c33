import { length_of, offset_of, REGION_BYTES, store_region } from "./region";

/** A pass sorts by one byte of the offsets. */
const DIGIT_BITS: u64 = 8;
const DIGITS: usize = 1 << 8;

/** One u32 for each digit, after the regions of the scratch space. */
const COUNTERS_BYTES: usize = DIGITS * 4;

/**
 * Sorts `count` regions at `regions` by offset, stably, and returns the address of the result:
 * `regions` or `scratch`, whichever the last pass wrote.
 *
 * A radix sort from the lowest byte up: it has no branches that depend on comparisons, which a processor
 * mispredicts half of the time. A byte that is the same in all offsets takes no pass, and regions that
 * are in order already, as tensors mostly are, take none.
 *
 * `scratch` holds as many regions as `regions` and 1024 bytes more; the two do not overlap.
 */
export function sort_regions(regions: usize, count: u32, scratch: usize): usize {
  const bytes = <usize>count * REGION_BYTES;
  const counters = scratch + bytes;
  const differing = disorder(regions, bytes);
  let from = regions;
  let to = scratch;
  for (let shift: u64 = 0; shift < 64; shift += DIGIT_BITS) {
    if (((differing >> shift) & (DIGITS - 1)) == 0) continue;
    sort_by_digit(from, bytes, to, counters, shift);
    const written = to;
    to = from;
    from = written;
  }
  return from;
}

/** The bits in which some offset differs from the first; 0 when the regions are in order. */
function disorder(regions: usize, bytes: usize): u64 {
  if (bytes == 0) return 0;
  const first = offset_of(regions);
  let before = first;
  let differing: u64 = 0;
  let descends = false;
  for (let at: usize = REGION_BYTES; at < bytes; at += REGION_BYTES) {
    const offset = offset_of(regions + at);
    descends = descends || offset < before;
    differing |= offset ^ first;
    before = offset;
  }
  return descends ? differing : 0;
}

function counter_of(counters: usize, offset: u64, shift: u64): usize {
  return counters + ((<usize>(offset >> shift) & (DIGITS - 1)) << 2);
}

function sort_by_digit(from: usize, bytes: usize, to: usize, counters: usize, shift: u64): void {
  memory.fill(counters, 0, COUNTERS_BYTES);
  for (let at: usize = 0; at < bytes; at += REGION_BYTES) {
    const counter = counter_of(counters, offset_of(from + at), shift);
    store<u32>(counter, load<u32>(counter) + <u32>REGION_BYTES);
  }
  // Replaces the bytes that each digit takes by the address of its first region.
  let next = <u32>to;
  for (let at: usize = 0; at < COUNTERS_BYTES; at += 4) {
    const taken = load<u32>(counters + at);
    store<u32>(counters + at, next);
    next += taken;
  }
  for (let at: usize = 0; at < bytes; at += REGION_BYTES) {
    const offset = offset_of(from + at);
    const counter = counter_of(counters, offset, shift);
    const place = load<u32>(counter);
    store_region(place, offset, length_of(from + at));
    store<u32>(counter, place + <u32>REGION_BYTES);
  }
}
