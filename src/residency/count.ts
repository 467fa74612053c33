import type { Shim } from "../../shims/index.ts";
import { abortable } from "../abortable.ts";
import { abortError } from "../errors.ts";
import type { FileSource } from "../file/open-file.ts";
import type { Range } from "../plan/range.ts";
import { turnIfDue } from "../turn-if-due.ts";

/** Asking about this much takes the system a millisecond or two. */
const STEP_BYTES = 256 * 1024 ** 2;

/**
 * Cuts ranges into steps, letting the event loop turn between any two. Steps end at multiples of their length in the
 * file: Linux drops a large folio only by a call that covers all of it, and a folio begins at a multiple of its own
 * length, so that no step divides one.
 *
 * @throws {@link PrefaultError} `PREFAULT_ABORTED`, before the next step
 */
export async function* inSteps(
  ranges: Iterable<Range>,
  signal?: AbortSignal,
): AsyncGenerator<Range> {
  for (const { offset, byteLength } of ranges) {
    const end = offset + byteLength;
    for (let at = offset, next = at; at < end; at = next) {
      next = Math.min(end, (Math.floor(at / STEP_BYTES) + 1) * STEP_BYTES);
      await turnIfDue();
      if (signal?.aborted) throw abortError(signal);
      yield { offset: at, byteLength: next - at };
    }
  }
}

/**
 * Bytes of the ranges that are in the page cache, in whole pages; `null` when the system will not
 * say. Of a file whose server may not answer, other threads are asked to wait for it.
 */
export async function residentBytes(
  shim: Shim,
  file: FileSource,
  ranges: Iterable<Range>,
  signal?: AbortSignal,
): Promise<number | null> {
  let total = 0;
  for await (const { offset, byteLength } of inSteps(ranges, signal)) {
    const resident = file.facts.isLocal
      ? shim.residentBytes(file, offset, byteLength)
      : await abortable(signal, shim.residentBytesInBackground(file, offset, byteLength));
    if (resident === null) return null;
    total += resident;
  }
  return total;
}

/** The same of each of several files, in their order. */
export async function residentBytesOfEach(
  shim: Shim,
  files: Iterable<{ readonly file: FileSource; readonly ranges: Iterable<Range> }>,
  signal?: AbortSignal,
): Promise<(number | null)[]> {
  const counts: (number | null)[] = [];
  for (const { file, ranges } of files) {
    counts.push(await residentBytes(shim, file, ranges, signal));
  }
  return counts;
}

/**
 * Bytes of ranges of this process's memory that are in memory, in whole pages; `null` when the system
 * will not say, also for a range that is not mapped at all.
 *
 * @param ranges of addresses, in whole pages
 */
export async function residentBytesAt(
  shim: Shim,
  ranges: Iterable<Range>,
  signal?: AbortSignal,
): Promise<number | null> {
  const addresses = Array.from(ranges, ({ offset, byteLength }) => ({
    address: BigInt(offset),
    byteLength,
  }));
  return abortable(signal, shim.residentBytesAt(addresses));
}
