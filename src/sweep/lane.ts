import type { Shim } from "../../shims/index.ts";
import { ControlPage, sharedBuffer } from "../control.ts";
import { RangeTable } from "../plan/range-table.ts";
import { DoneChunks } from "./done-chunks.ts";
import { describeOutOfMemory } from "./failure.ts";
import { AddressFiller } from "./fill-addresses.ts";
import { MappedFiller } from "./fill-mapped.ts";
import { ReadFiller } from "./fill-read.ts";
import { fillStretch } from "./fill-stretch.ts";
import { hintViews, ViewFiller } from "./fill-views.ts";
import { type Filler, type Stretch, stretchOf } from "./filler.ts";
import { MemoryWatch } from "./memory-watch.ts";
import type { LaneFailure, LaneResult, LaneTask } from "./protocol.ts";
import { stateOf } from "./sweep-state.ts";

/**
 * One lane: takes chunks off the shared counter until none is left, and makes each resident.
 * Synchronous, since a thread has nothing else to do.
 */
export function runLane(task: LaneTask, shim: Shim): LaneResult {
  const control = new ControlPage(task.control);
  const chunks = new RangeTable(task.chunks);
  const startedMs = now();
  const before = shim.faults();
  const done = new DoneChunks(task.done);
  const failures: LaneFailure[] = [];
  const { keepGoing } = task;
  expectSame(task, shim);
  const watch = new MemoryWatch(task.files, shim, stateOf(task, control));
  const filler = makeFiller(task, control, shim, watch);
  control.enterLane();
  try {
    for (
      let index = control.takeChunk();
      index < chunks.length && !control.cancelled;
      index = control.takeChunk()
    ) {
      const stretch = stretchOf(task.windows, chunks.at(index));
      if (index === 0 && task.views.length > 0) hintViews(task, stretchesOf(task, chunks), shim);
      const file = task.files[stretch.file];
      const short = watch.look();
      if (short !== null) {
        failures.push(describeOutOfMemory(short, stretch, file));
        // Also when asked to keep going: more of it would only evict what is there.
        cancelAll(task, control);
        break;
      }
      const failed = fillStretch(filler, stretch, file, { keepGoing, pageBytes: shim.pageBytes });
      failures.push(...failed);
      // With no memory for more, also when asked to keep going.
      if (failed.length > 0 && (!keepGoing || failed.some(isOutOfMemory))) {
        cancelAll(task, control);
        break;
      }
      // A fill that was cancelled returns early.
      if (failed.length > 0 || control.cancelled) continue;
      done.finish(index);
      watch.filled(stretch);
    }
  } finally {
    filler.close();
    control.leaveLane();
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

function isOutOfMemory({ code }: LaneFailure): boolean {
  return code === "PREFAULT_OUT_OF_MEMORY";
}

/** @throws Error in a thread that cannot do what the one that started it can */
function expectSame({ strategy, arenas }: LaneTask, shim: Shim): void {
  const isAble = strategy === "read" || (strategy === "touch" ? shim.canPlace : shim.canPopulate);
  if (!isAble && arenas.length > 0) {
    throw new Error(`koffi could not be loaded in it, so that it cannot ${strategy}`);
  }
}

function makeFiller(task: LaneTask, control: ControlPage, shim: Shim, watch: MemoryWatch): Filler {
  if (task.files.length === 0) return new AddressFiller(control, shim, watch);
  if (task.strategy === "read") return new ReadFiller(task, control, shim, watch);
  if (task.views.length > 0) return new ViewFiller(task, control, shim, watch);
  return new MappedFiller(task, control, shim, watch);
}

/** Each thread counts from its own start; together with that it is one clock. */
function now(): number {
  return performance.timeOrigin + performance.now();
}

/** Stops every lane of a sweep, whichever word it happens to be looking at. */
export function cancelAll(task: LaneTask, control: ControlPage): void {
  control.cancel();
  for (const { memory } of task.arenas) {
    new ControlPage(sharedBuffer(memory)).cancel();
  }
}

function stretchesOf(task: LaneTask, chunks: RangeTable): Stretch[] {
  return Array.from({ length: chunks.length }, (_, index) =>
    stretchOf(task.windows, chunks.at(index)),
  );
}
