import type { Shim } from "../../shims/index.ts";
import { ArenaControl, sharedBuffer } from "../control/arena-control.ts";
import { SweepControl } from "../control/sweep-control.ts";
import { AddressFiller } from "../fill/address-filler.ts";
import { describeOutOfMemory, type FillFailure } from "../fill/failure.ts";
import { fillChunk } from "../fill/fill-chunk.ts";
import { type Chunk, type Filler, locateChunk } from "../fill/filler.ts";
import { MappedFiller } from "../fill/mapped-filler.ts";
import { ReadFiller } from "../fill/read-filler.ts";
import { hintViews, ViewFiller } from "../fill/view-filler.ts";
import { MemoryWatch } from "../memory/memory-watch.ts";
import { RangeTable } from "../plan/range-table.ts";
import { DoneChunks } from "./done-chunks.ts";
import type { WorkerResult, WorkerTask } from "./protocol.ts";

/**
 * One worker: takes chunks off the shared counter until none is left, and makes each resident.
 * Synchronous, since a thread has nothing else to do.
 */
export function runWorker(task: WorkerTask, shim: Shim): WorkerResult {
  const control = new SweepControl(
    task.control,
    task.arenas.map(({ memory }) => new ArenaControl(sharedBuffer(memory))),
  );
  const chunks = new RangeTable(task.chunks);
  const startedMs = now();
  const before = shim.faults();
  const done = new DoneChunks(task.done);
  const failures: FillFailure[] = [];
  const { keepGoing } = task;
  expectSame(task, shim);
  const watch = new MemoryWatch(task.files, shim, control);
  const filler = makeFiller(task, control, shim, watch);
  control.enterWorker();
  try {
    for (
      let index = control.takeChunk();
      index < chunks.length && !control.cancelled;
      index = control.takeChunk()
    ) {
      const chunk = locateChunk(task.extents, chunks.at(index));
      if (index === 0 && task.views.length > 0) hintViews(task, locateChunks(task, chunks), shim);
      const file = task.files[chunk.file];
      const short = watch.look();
      if (short !== null) {
        failures.push(describeOutOfMemory(short, chunk, file));
        // Also when asked to keep going: more of it would only evict what is there.
        control.cancel();
        break;
      }
      const failed = fillChunk(filler, chunk, file, { keepGoing, pageBytes: shim.pageBytes });
      failures.push(...failed);
      // With no memory for more, also when asked to keep going.
      if (failed.length > 0 && (!keepGoing || failed.some(isOutOfMemory))) {
        control.cancel();
        break;
      }
      // A fill that was cancelled returns early.
      if (failed.length > 0 || control.cancelled) continue;
      done.finish(index);
      watch.filled(chunk);
    }
  } finally {
    filler.close();
    control.leaveWorker();
  }
  const after = shim.faults();
  return {
    startedMs,
    endedMs: now(),
    minorFaults: after.minor - before.minor,
    majorFaults: after.major - before.major,
    faultsOf: shim.countsFaultsOf,
    untouchedBytes: filler.untouchedBytes,
    failures,
  };
}

function isOutOfMemory({ code }: FillFailure): boolean {
  return code === "PREFAULT_OUT_OF_MEMORY";
}

/** @throws Error in a thread that cannot do what the one that started it can */
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

/** Each thread counts from its own start; together with that it is one clock. */
function now(): number {
  return performance.timeOrigin + performance.now();
}

function locateChunks(task: WorkerTask, chunks: RangeTable): Chunk[] {
  return Array.from({ length: chunks.length }, (_, index) =>
    locateChunk(task.extents, chunks.at(index)),
  );
}
