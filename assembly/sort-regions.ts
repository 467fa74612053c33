import { length_of, offset_of, REGION_BYTES, store_region } from "./region";

/**
 * Sorts `count` regions at `regions` by offset, stably, and returns the address the result lies at:
 * `regions` or `scratch`, whichever the last pass wrote.
 *
 * A bottom-up merge sort that starts from the runs already there, so the common input (tensors in
 * file order) costs one pass. `scratch` holds as many regions as `regions`; the two do not overlap.
 */
export function sort_regions(regions: usize, count: u32, scratch: usize): usize {
  const bytes = <usize>count * REGION_BYTES;
  let from = regions;
  let to = scratch;
  let pairs: u32;
  do {
    pairs = 0;
    for (let at: usize = 0; at < bytes; ) {
      const middle = run_end(from, at, bytes);
      const end = middle < bytes ? run_end(from, middle, bytes) : bytes;
      merge_runs(from, at, middle, end, to);
      at = end;
      pairs++;
    }
    const written = to;
    to = from;
    from = written;
    // When a single pair of runs was left, that pass put everything in order.
  } while (pairs > 1);
  return from;
}

/** Where the ascending run that begins at `at` ends. */
function run_end(base: usize, at: usize, bytes: usize): usize {
  let next = at + REGION_BYTES;
  while (next < bytes && offset_of(base + next) >= offset_of(base + next - REGION_BYTES)) {
    next += REGION_BYTES;
  }
  return next;
}

/**
 * Takes the smaller of two by selection and not by branch: which run it comes from is a coin toss to
 * the processor, and a wrong guess costs as much as ten of these turns.
 */
function merge_runs(from: usize, start: usize, middle: usize, end: usize, to: usize): void {
  let left = from + start;
  let right = from + middle;
  let out = to + start;
  const leftEnd = right;
  const rightEnd = from + end;
  while (left < leftEnd && right < rightEnd) {
    // `<=` takes the left one of equals, which keeps the sort stable.
    const takesLeft = offset_of(left) <= offset_of(right);
    const source = select<usize>(left, right, takesLeft);
    store_region(out, offset_of(source), length_of(source));
    const step = select<usize>(REGION_BYTES, 0, takesLeft);
    left += step;
    right += REGION_BYTES - step;
    out += REGION_BYTES;
  }
  // One of the two is used up; the other goes over as it is.
  memory.copy(out, left, leftEnd - left);
  memory.copy(out + (leftEnd - left), right, rightEnd - right);
}
