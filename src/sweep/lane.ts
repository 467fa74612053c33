import type { Shim } from "../../shims/index.ts";
import { ARENA_BYTES, locate } from "../arena/layout.ts";
import { ControlPage, sharedBuffer } from "../control.ts";
import type { Range } from "../plan/range.ts";
import { RangeTable } from "../plan/range-table.ts";
import { DoneChunks } from "./done-chunks.ts";
import { describeOutOfMemory } from "./failure.ts";
import { AddressFiller } from "./fill-addresses.ts";
import { MappedFiller } from "./fill-mapped.ts";
import { ReadFiller } from "./fill-read.ts";
import { fillStretch } from "./fill-stretch.ts";
import { hintViews, ViewFiller } from "./fill-views.ts";
import type { Filler, Stretch } from "./filler.ts";
import { MemoryWatch, type SweepState } from "./memory-watch.ts";
import type { LaneFailure, LaneResult, LaneTask } from "./protocol.ts";

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
  const watch = new MemoryWatch(task.files, shim, stateOf(task, control));
  const filler = makeFiller(task, control, shim, watch);
  control.enterLane();
  try {
    for (
      let index = control.takeChunk();
      index < chunks.length && !control.cancelled;
      index = control.takeChunk()
    ) {
      const stretch = stretchOf(task, chunks.at(index));
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

/** Of the whole sweep: what the kernels touch is counted in the memories they compute on. */
function stateOf(task: LaneTask, control: ControlPage): SweepState {
  const pages = [
    control,
    ...task.arenas.map(({ memory }) => new ControlPage(sharedBuffer(memory))),
  ];
  return {
    get sweptBytes() {
      return pages.reduce((sum, page) => sum + page.progress, 0);
    },
    get workers() {
      return control.lanes;
    },
  };
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

function stretchOf(task: LaneTask, chunk: Range): Stretch {
  const { window, fileOffset } = locate(task.windows, chunk.offset);
  return {
    arena: window.arena,
    start: chunk.offset % ARENA_BYTES,
    byteLength: chunk.byteLength,
    file: window.file,
    offset: fileOffset,
  };
}

function stretchesOf(task: LaneTask, chunks: RangeTable): Stretch[] {
  return Array.from({ length: chunks.length }, (_, index) => stretchOf(task, chunks.at(index)));
}
