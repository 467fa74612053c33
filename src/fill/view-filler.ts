import { fstatSync } from "node:fs";
import type { FileRange, Shim } from "../../shims/index.ts";
import { ARENA_BYTES, locate } from "../arena/layout.ts";
import type { SweepControl } from "../control/sweep-control.ts";
import type { MemoryWatch } from "../memory/memory-watch.ts";
import type { FillTask } from "./fill-task.ts";
import { type Chunk, FileShrank, type Filler } from "./filler.ts";
import { PopulateBatches } from "./populate-batches.ts";

/**
 * Fills views, which lie outside WebAssembly memory. No kernel reaches them: the system makes each batch
 * resident on request, and fails with an error where it cannot.
 */
export class ViewFiller implements Filler {
  /** 0: the system touches the pages that it populates. */
  readonly untouchedBytes = 0;
  readonly #task: FillTask;
  readonly #batches: PopulateBatches;

  constructor(task: FillTask, control: SweepControl, shim: Shim, watch: MemoryWatch) {
    this.#task = task;
    this.#batches = new PopulateBatches(control, shim, watch);
  }

  fill(chunk: Chunk): void {
    const { fd, address } = inView(this.#task, chunk);
    const { offset, byteLength } = chunk;
    // A chunk is whole pages; the file need not be. Beyond the view other memory may be mapped.
    const end = Math.min(offset + byteLength, this.#task.files[chunk.file]?.byteLength ?? 0);
    if (fstatSync(fd).size < end) throw new FileShrank();
    this.#batches.populate(address, chunk);
  }

  close(): void {}
}

/**
 * Asks the system to read all chunks ahead at once, so that it can order the requests and make them
 * large. The call may take as long as the device does, so a worker makes it: the other workers fill
 * meanwhile, and an abort does not wait for it.
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
