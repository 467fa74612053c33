import type { FileHandle } from "node:fs/promises";
import { abortError } from "../errors.ts";
import type { Range } from "../plan/range.ts";

/** A gap that is read along: a page more costs less than another call. */
const MOST_GAP_BYTES = 16 * 1024;

/** A joined read is no larger, so that the buffers stay small whatever the ranges are. */
const MOST_JOINED_BYTES = 2 ** 20;

/**
 * Reads ranges of a file, in the order in which they lie there; close ones in one go.
 *
 * @returns for each range its bytes, or `undefined` where the file has become too short
 * @throws {@link PrefaultError} `PREFAULT_ABORTED`
 */
export async function readRanges(
  handle: FileHandle,
  ranges: readonly Range[],
  signal?: AbortSignal | undefined,
): Promise<(Uint8Array | undefined)[]> {
  const found: (Uint8Array | undefined)[] = ranges.map(() => undefined);
  const order = ranges.map((range, index) => ({ ...range, index }));
  order.sort((a, b) => a.offset - b.offset);
  for (let next = 0; next < order.length; ) {
    if (signal?.aborted === true) throw abortError(signal);
    const from = next;
    const start = order[from]?.offset ?? 0;
    let end = start;
    for (let range = order[next]; range !== undefined; range = order[++next]) {
      const until = Math.max(end, range.offset + range.byteLength);
      const isClose = range.offset - end <= MOST_GAP_BYTES && until - start <= MOST_JOINED_BYTES;
      if (next > from && !isClose) break;
      end = until;
    }
    const bytes = Buffer.alloc(end - start);
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, start);
    for (const { offset, byteLength, index } of order.slice(from, next)) {
      const at = offset - start;
      // A copy, so that what was read along can go.
      if (at + byteLength <= bytesRead) {
        found[index] = Uint8Array.from(bytes.subarray(at, at + byteLength));
      }
    }
  }
  return found;
}
