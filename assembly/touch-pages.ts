import { CANCEL, POLL_PAGES, PROGRESS } from "./control";

/**
 * Reads one byte of every page of `[address, address + byteLength)`, and its last byte, so that the
 * operating system makes all of them resident.
 *
 * `address` need not be aligned: the stride starts there, and the last byte touches the page that an
 * unaligned end reaches into. `pageBytes` is the system's page size, a power of two.
 *
 * Every 64 pages it adds the bytes touched to the progress word and checks the cancel word of the
 * control page. Returns the sum of the bytes read, modulo 2^32: a compiler may not leave out a load that
 * the result depends on. Returns -1 when it was cancelled.
 */
export function touch_pages(address: usize, byteLength: usize, pageBytes: u32): i64 {
  if (byteLength == 0) return 0;
  const page = <usize>pageBytes;
  const poll = page * POLL_PAGES;
  let sum: u32 = 0;
  let at: usize = 0;
  while (at < byteLength) {
    if (atomic.load<u32>(CANCEL) != 0) return -1;
    const left = byteLength - at;
    const step = left < poll ? left : poll;
    sum += touch_step(address + at, step, page);
    atomic.add<u64>(PROGRESS, step);
    at += step;
  }
  sum += load<u8>(address + byteLength - 1);
  return <i64>sum;
}

/**
 * Touches one page after another, eight independent loads in each turn of the loop. In V8's first
 * compiler tier, which compiles a fresh kernel, a plain loop has only one cache miss in flight.
 *
 * Counts pages down instead of comparing addresses: the range may end at 4 GiB, where `usize` wraps.
 */
function touch_step(start: usize, byteLength: usize, page: usize): u32 {
  let pages = (byteLength + page - 1) / page;
  let at = start;
  let sum: u32 = 0;
  for (; pages >= 8; pages -= 8) {
    const a = <u32>load<u8>(at);
    const b = <u32>load<u8>(at + page);
    const c = <u32>load<u8>(at + page * 2);
    const d = <u32>load<u8>(at + page * 3);
    const e = <u32>load<u8>(at + page * 4);
    const f = <u32>load<u8>(at + page * 5);
    const g = <u32>load<u8>(at + page * 6);
    const h = <u32>load<u8>(at + page * 7);
    sum += a + b + (c + d) + (e + f + (g + h));
    at += page * 8;
  }
  for (; pages > 0; pages--) {
    sum += load<u8>(at);
    at += page;
  }
  return sum;
}
