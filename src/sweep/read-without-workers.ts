import { fstat, read } from "node:fs";
import { promisify } from "node:util";
import type { Shim } from "../../shims/index.ts";
import { SweepControl } from "../control/sweep-control.ts";
import type { FileSource } from "../file/open-file.ts";
import { describeFailure, type FailureReport } from "../fill/failure.ts";
import { ChunkFailures } from "../fill/fill-chunk.ts";
import { type Chunk, FileShrank, FillFailed } from "../fill/filler.ts";
import { CgroupRoom } from "../memory/cgroup-room.ts";
import { MemoryWatch } from "../memory/memory-watch.ts";
import { ChunkWork } from "./chunk-work.ts";
import { measureWorker } from "./measure-worker.ts";
import type { WorkerResult, WorkerTask } from "./protocol.ts";

const readAsync = promisify(read);
const statAsync = promisify(fstat);

/** Reads at a time: two of libuv's four threads, which the whole process shares. */
const AT_ONCE = 2;

/** Bytes of one read: an abort is noticed after each, also on a slow device. */
const READ_BYTES = 1024 ** 2;

/**
 * Does without worker threads what a worker does with the `read` strategy: reads on libuv's threads, while
 * the event loop runs. For a process that cannot start a worker thread, and until they have started.
 *
 * @param goesOn asked before each chunk, where worker threads start meanwhile
 */
export async function readWithoutWorkers(
  task: WorkerTask,
  shim: Shim,
  goesOn?: () => boolean,
  room = new CgroupRoom(),
): Promise<WorkerResult> {
  const control = new SweepControl(task.control);
  const resultOf = measureWorker(shim);
  control.enterWorker();
  try {
    const readers = Array.from({ length: AT_ONCE }, () => {
      const watch = new MemoryWatch(task.files, shim, control, task.reserve, room);
      return readChunks(task, control, shim, watch, goesOn);
    });
    // Waits for all of them, so that none reads on after the files are closed.
    const settled = await Promise.allSettled(readers);
    const failures = settled.flatMap((reader) => {
      if (reader.status === "rejected") throw reader.reason;
      return reader.value;
    });
    return resultOf(0, failures);
  } finally {
    control.leaveWorker();
  }
}

/** Takes chunks until none is left. @returns what could not be read */
async function readChunks(
  task: WorkerTask,
  control: SweepControl,
  shim: Shim,
  watch: MemoryWatch,
  goesOn?: () => boolean,
): Promise<readonly FailureReport[]> {
  const work = new ChunkWork(task, control, watch, goesOn);
  const buffer = new Uint8Array(READ_BYTES);
  const how = { keepGoing: task.keepGoing, pageBytes: shim.pageBytes };
  for (let taken = work.take(); taken !== null; taken = work.take()) {
    const { chunk, file } = taken;
    if (file === undefined) throw new RangeError(`no file ${chunk.file}`);
    work.finish(taken, await readChunk({ chunk, file, buffer, control, watch }, how));
  }
  return work.failures;
}

interface Reading {
  readonly chunk: Chunk;
  readonly file: FileSource;
  readonly buffer: Uint8Array;
  readonly control: SweepControl;
  readonly watch: MemoryWatch;
}

async function readChunk(
  reading: Reading,
  how: { readonly keepGoing: boolean; readonly pageBytes: number },
): Promise<FailureReport[]> {
  const { chunk, file } = reading;
  const failures = new ChunkFailures(how);
  for (let rest: Chunk | null = chunk; rest !== null && rest.byteLength > 0; ) {
    try {
      await readOnce({ ...reading, chunk: rest });
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
async function readOnce({ chunk, file, buffer, control, watch }: Reading): Promise<void> {
  const { offset, byteLength } = chunk;
  // A chunk is whole pages; the file need not be.
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
