import type { Shim } from "../../shims/index.ts";
import { ArenaControl, sharedBuffer } from "../control/arena-control.ts";
import { SweepControl } from "../control/sweep-control.ts";
import { AddressFiller } from "../fill/address-filler.ts";
import { fillChunk } from "../fill/fill-chunk.ts";
import { type Chunk, type Filler, locateChunk } from "../fill/filler.ts";
import { MappedFiller } from "../fill/mapped-filler.ts";
import { ReadFiller } from "../fill/read-filler.ts";
import { hintViews, ViewFiller } from "../fill/view-filler.ts";
import { MemoryWatch } from "../memory/memory-watch.ts";
import { RangeTable } from "../plan/range-table.ts";
import { ChunkWork } from "./chunk-work.ts";
import { measureWorker } from "./measure-worker.ts";
import type { WorkerResult, WorkerTask } from "./protocol.ts";

/**
 * The work of one worker thread: takes chunks from the shared counter until none is left, and makes each
 * resident. Synchronous, since the thread has nothing else to do.
 */
export function runWorker(task: WorkerTask, shim: Shim): WorkerResult {
  const control = new SweepControl(
    task.control,
    task.arenas.map(({ memory }) => new ArenaControl(sharedBuffer(memory))),
  );
  const resultOf = measureWorker(shim);
  expectSame(task, shim);
  const watch = new MemoryWatch(task.files, shim, control, task.reserve);
  const work = new ChunkWork(task, control, watch);
  const filler = makeFiller(task, control, shim, watch);
  const how = { keepGoing: task.keepGoing, pageBytes: shim.pageBytes };
  control.enterWorker();
  try {
    for (let taken = work.take(); taken !== null; taken = work.take()) {
      const { index, chunk, file } = taken;
      work.turns?.block(control);
      if (work.passOver(taken, shim)) continue;
      if (index === 0 && task.views.length > 0) hintViews(task, locateChunks(task), shim);
      work.finish(taken, fillChunk(filler, chunk, file, how));
    }
  } finally {
    filler.close();
    control.leaveWorker();
  }
  const { taken: chunks, failures } = work;
  return resultOf({ chunks, untouchedBytes: filler.untouchedBytes, failures });
}

/** @throws Error in a thread where koffi did not load, although it did in the thread that started it */
function expectSame({ strategy, arenas }: WorkerTask, shim: Shim): void {
  const isAble = strategy === "read" || (strategy === "touch" ? shim.canPlace : shim.canPopulate);
  if (!isAble && arenas.length > 0) {
    throw new Error(`koffi could not be loaded in it, so that it cannot ${strategy}`);
  }
}

function makeFiller(
  task: WorkerTask,
  control: SweepControl,
  shim: Shim,
  watch: MemoryWatch,
): Filler {
  if (task.files.length === 0) return new AddressFiller(control, shim, watch);
  if (task.strategy === "read") return new ReadFiller(task, control, shim, watch);
  if (task.views.length > 0) return new ViewFiller(task, control, shim, watch);
  return new MappedFiller(task, control, shim, watch);
}

function locateChunks(task: WorkerTask): Chunk[] {
  const chunks = new RangeTable(task.chunks);
  return Array.from({ length: chunks.length }, (_, index) =>
    locateChunk(task.extents, chunks.at(index)),
  );
}
