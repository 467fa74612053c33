import { fstatSync } from "node:fs";
import type { FileRange, Shim } from "../../shims/index.ts";
import { ARENA_BYTES, locate } from "../arena/layout.ts";
import type { SweepControl } from "../control/sweep-control.ts";
import type { MemoryWatch } from "../memory/memory-watch.ts";
import { BatchSize } from "./batch-size.ts";
import type { FillTask } from "./fill-task.ts";
import { type Chunk, FileShrank, type Filler, FillFailed } from "./filler.ts";

/**
 * Fills views that lie outside WebAssembly memory. No kernel reaches them: the system makes each
 * batch resident on request, and says so when it cannot.
 */
export class ViewFiller implements Filler {
  /** The system's own touch is the touch. */
  readonly untouchedBytes = 0;
  readonly #task: FillTask;
  readonly #control: SweepControl;
  readonly #shim: Shim;
  readonly #watch: MemoryWatch;
  readonly #batchSize = new BatchSize();

  constructor(task: FillTask, control: SweepControl, shim: Shim, watch: MemoryWatch) {
    this.#task = task;
    this.#control = control;
    this.#shim = shim;
    this.#watch = watch;
  }

  fill(chunk: Chunk): void {
    const { fd, offset, address } = inView(this.#task, chunk);
    const { byteLength } = chunk;
    // A chunk is whole pages; the file need not be. Beyond the view something else may be mapped.
    const end = Math.min(offset + byteLength, this.#task.files[chunk.file]?.byteLength ?? 0);
    if (fstatSync(fd).size < end) throw new FileShrank();
    for (let done = 0; done < byteLength && !this.#control.cancelled; ) {
      const batch = this.#watch.allow(Math.min(this.#batchSize.bytes, byteLength - done));
      const started = performance.now();
      try {
        this.#shim.populate(address + BigInt(done), batch);
      } catch (cause) {
        throw new FillFailed(offset + done, batch, cause);
      }
      this.#batchSize.took(performance.now() - started);
      this.#control.addProgress(batch);
      done += batch;
    }
  }

  close(): void {}
}

/**
 * Asks for everything at once, so that the system orders the requests and makes them large. It may
 * block for as long as the device takes, which is why a worker does it and not the caller's thread:
 * the others fill meanwhile, and an abort does not wait for it.
 */
export function hintViews(task: FillTask, chunks: readonly Chunk[], shim: Shim): void {
  shim.prefetch(chunks.map((chunk) => inView(task, chunk)));
}

function inView({ extents, views, files }: FillTask, chunk: Chunk): FileRange {
  const { extent } = locate(extents, chunk.arena * ARENA_BYTES + chunk.start);
  const start = views[extents.indexOf(extent)];
  const file = files[chunk.file];
  if (start === undefined || file === undefined) throw new RangeError(`no file ${chunk.file}`);
  const { offset, byteLength } = chunk;
  return { fd: file.fd, offset, byteLength, address: start + BigInt(offset - extent.offset) };
}
