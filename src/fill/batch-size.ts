import { LEAST_BATCH_BYTES } from "../memory/memory-watch.ts";

/**
 * The most a single `MADV_POPULATE_READ` is asked for: it holds the process's memory map while it
 * runs, and kernels before 6.9 may retry a failing read for ever (TensorRT-LLM issue 17430 settled
 * on the same size).
 */
const MOST_BYTES = 64 * 1024 ** 2;

/**
 * A batch is over in about this time, so that an abort is noticed on any device. As long as that
 * allows: while one worker's large batch is read, the others touch theirs, and neither the device nor
 * a processor waits. That shows where a touch costs as much as the device does: in a guest whose
 * memory is yet to be given (`npm run bench -- --scope peers`).
 */
const LONG_MS = 150;
const SHORT_MS = 30;

/**
 * How much a worker fills between two looks at the cancel word: small on a slow device, where a
 * batch takes long, large on a fast one, where each batch has its cost.
 */
export class BatchSize {
  bytes = LEAST_BATCH_BYTES;

  took(milliseconds: number): void {
    if (milliseconds > LONG_MS) this.bytes = Math.max(LEAST_BATCH_BYTES, this.bytes / 2);
    else if (milliseconds < SHORT_MS) this.bytes = Math.min(MOST_BYTES, this.bytes * 2);
  }
}
