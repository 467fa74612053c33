import { LEAST_BATCH_BYTES } from "../memory/memory-watch.ts";

/**
 * The most bytes of one `MADV_POPULATE_READ`: the call locks the process's memory map while it runs
 * (TensorRT-LLM issue 17430 chose the same size).
 */
const MOST_BYTES = 64 * 1024 ** 2;

/**
 * A batch should take between 30 and 150 ms. An abort is noticed between two batches, so they must not be
 * longer. They should not be shorter either: while the device reads one worker's large batch, the other
 * workers touch theirs, so that neither device nor processor waits. This counts where a touch takes as
 * long as the read: in a guest whose hypervisor has not given the memory yet
 * (`npm run bench -- --scope peers`).
 */
const LONG_MS = 150;
const SHORT_MS = 30;

/**
 * How many bytes a worker fills between two checks of the cancel word: few on a slow device, where a
 * batch takes long, many on a fast one, where the cost of each call counts.
 */
export class BatchSize {
  bytes = LEAST_BATCH_BYTES;

  took(milliseconds: number): void {
    if (milliseconds > LONG_MS) this.bytes = Math.max(LEAST_BATCH_BYTES, this.bytes / 2);
    else if (milliseconds < SHORT_MS) this.bytes = Math.min(MOST_BYTES, this.bytes * 2);
  }
}
