import { fstat, read } from "node:fs";
import { promisify } from "node:util";
import type { Shim } from "../../shims/index.ts";
import { ControlPage } from "../control.ts";
import type { FileSource } from "../files.ts";
import { RangeTable } from "../plan/range-table.ts";
import { DoneChunks } from "./done-chunks.ts";
import { describeFailure, describeOutOfMemory } from "./failure.ts";
import { StretchFailures } from "./fill-stretch.ts";
import { FileShrank, FillFailed, type Stretch, stretchOf } from "./filler.ts";
import { MemoryWatch } from "./memory-watch.ts";
import type { LaneFailure, LaneResult, LaneTask } from "./protocol.ts";
import { stateOf } from "./sweep-state.ts";

const readAsync = promisify(read);
const statAsync = promisify(fstat);

/** Of libuv's four threads, which belong to the whole process, so many. */
const AT_ONCE = 2;

/** Bytes a read asks for: an abort is noticed after one, also on a slow device. */
const READ_BYTES = 1024 ** 2;

/**
 * Does what a worker thread does with the `read` strategy, without one: reads on libuv's threads, and
 * the event loop turns meanwhile. For a process that may start no worker thread.
 */
export async function readHere(task: LaneTask, shim: Shim): Promise<LaneResult> {
  const control = new ControlPage(task.control);
  const startedMs = now();
  const before = shim.faults();
  control.enterLane();
  try {
    const readers = Array.from({ length: AT_ONCE }, () => readChunks(task, control, shim));
    // Each settles before this does: none reads on after the files were closed.
    const settled = await Promise.allSettled(readers);
    const failures = settled.flatMap((reader) => {
      if (reader.status === "rejected") throw reader.reason;
      return reader.value;
    });
    const after = shim.faults();
    return {
      startedMs,
      endedMs: now(),
      minorFaults: after.minor - before.minor,
      majorFaults: after.major - before.major,
      faultsOf: shim.countsFaultsOf,
      untouchedBytes: 0,
      failures,
    };
  } finally {
    control.leaveLane();
  }
}

function now(): number {
  return performance.timeOrigin + performance.now();
}

/** Takes chunks until none is left. @returns what could not be read */
async function readChunks(task: LaneTask, control: ControlPage, shim: Shim) {
  const chunks = new RangeTable(task.chunks);
  const done = new DoneChunks(task.done);
  const watch = new MemoryWatch(task.files, shim, stateOf(task, control));
  const buffer = new Uint8Array(READ_BYTES);
  const failures: LaneFailure[] = [];
  for (
    let index = control.takeChunk();
    index < chunks.length && !control.cancelled;
    index = control.takeChunk()
  ) {
    const stretch = stretchOf(task.windows, chunks.at(index));
    const file = task.files[stretch.file];
    if (file === undefined) throw new RangeError(`no file ${stretch.file}`);
    const short = watch.look();
    if (short !== null) {
      failures.push(describeOutOfMemory(short, stretch, file));
      control.cancel();
      break;
    }
    const how = { keepGoing: task.keepGoing, pageBytes: shim.pageBytes };
    const failed = await readStretch({ stretch, file, buffer, control, watch }, how);
    failures.push(...failed);
    if (failed.length > 0 && !task.keepGoing) control.cancel();
    if (failed.length > 0 || control.cancelled) continue;
    done.finish(index);
    watch.filled(stretch);
  }
  return failures;
}

interface Reading {
  readonly stretch: Stretch;
  readonly file: FileSource;
  readonly buffer: Uint8Array;
  readonly control: ControlPage;
  readonly watch: MemoryWatch;
}

async function readStretch(
  reading: Reading,
  how: { readonly keepGoing: boolean; readonly pageBytes: number },
): Promise<LaneFailure[]> {
  const { stretch, file } = reading;
  const failures = new StretchFailures(how);
  for (let rest: Stretch | null = stretch; rest !== null && rest.byteLength > 0; ) {
    try {
      await readOnce({ ...reading, stretch: rest });
      break;
    } catch (error) {
      const size = await statAsync(file.fd).then(
        (found) => found.size,
        () => file.byteLength,
      );
      rest = failures.add(describeFailure(error, rest, file, size), rest);
    }
  }
  return failures.list;
}

/** @throws {@link FillFailed}, {@link FileShrank}, {@link MemoryRanShort} */
async function readOnce({ stretch, file, buffer, control, watch }: Reading): Promise<void> {
  const { offset, byteLength } = stretch;
  // A stretch is whole pages; the file need not be.
  const end = Math.min(offset + byteLength, file.byteLength);
  for (let at = offset; at < end && !control.cancelled; ) {
    const length = Math.min(READ_BYTES, end - at);
    watch.allow(length);
    const { bytesRead } = await readAsync(file.fd, buffer, 0, length, at).catch((cause) => {
      throw new FillFailed(at, length, cause);
    });
    if (bytesRead === 0) throw new FileShrank();
    at += bytesRead;
    control.addProgress(at < end ? bytesRead : bytesRead + (offset + byteLength - end));
  }
}
