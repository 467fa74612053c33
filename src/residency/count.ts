import { setImmediate as turn } from "node:timers/promises";
import type { Shim } from "../../shims/index.ts";
import type { FileSource } from "../files.ts";
import type { Range } from "../plan/range.ts";

/** Asking about this much takes the system a millisecond or two; the event loop turns in between. */
const STEP_BYTES = 256 * 1024 ** 2;

/** Cuts ranges into steps, letting the event loop turn between any two. */
export async function* inSteps(ranges: Iterable<Range>): AsyncGenerator<Range> {
  let sinceTurn = 0;
  for (const { offset, byteLength } of ranges) {
    for (let at = offset; at < offset + byteLength; at += STEP_BYTES) {
      const step = Math.min(STEP_BYTES, offset + byteLength - at);
      if (sinceTurn + step > STEP_BYTES) {
        await turn();
        sinceTurn = 0;
      }
      sinceTurn += step;
      yield { offset: at, byteLength: step };
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
): Promise<number | null> {
  let total = 0;
  for await (const { offset, byteLength } of inSteps(ranges)) {
    const resident = file.facts.isLocal
      ? shim.residentBytes(file, offset, byteLength)
      : await shim.residentBytesInBackground(file, offset, byteLength);
    if (resident === null) return null;
    total += resident;
  }
  return total;
}
