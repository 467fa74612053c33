import { fstat, read } from "node:fs";
import { promisify } from "node:util";
import type { Shim } from "../../shims/index.ts";
import { PMD_BYTES } from "../arena/layout.ts";
import { SweepControl } from "../control/sweep-control.ts";
import type { FileSource } from "../file/open-file.ts";
import { describeFailure, type FailureReport } from "../fill/failure.ts";
import { ChunkFailures } from "../fill/fill-chunk.ts";
import { type Chunk, FileShrank, FillFailed, restOf } from "../fill/filler.ts";
import { CgroupRoom } from "../memory/cgroup-room.ts";
import { MemoryRanShort, MemoryWatch } from "../memory/memory-watch.ts";
import { ChunkWork } from "./chunk-work.ts";
import { measureWorker } from "./measure-worker.ts";
import type { WorkerResult, WorkerTask } from "./protocol.ts";

const readAsync = promisify(read);
const statAsync = promisify(fstat);

/** Calls at a time: two of libuv's four threads, which the whole process shares. */
const AT_ONCE = 2;

/** Bytes of one read: an abort is noticed after each, also on a slow device. */
const READ_BYTES = 1024 ** 2;

/** Bytes of one populate: a few large folios, and done soon on a slow device. */
const POPULATE_BYTES = 4 * PMD_BYTES;

/**
 * Does without worker threads what a worker does: populates or reads on libuv's threads, while the event loop runs.
 * For a process that cannot start a worker thread, until they have started, and beside an engine that loads: to
 * start a thread takes as much of a processor as to read 100 MiB, which the load needs.
 *
 * No page is touched: a touch would block the event loop until the device answers.
 *
 * @param goesOn asked before each chunk, where worker threads start meanwhile
 */
export async function fillWithoutWorkers(
  task: WorkerTask,
  shim: Shim,
  goesOn?: () => boolean,
  room = new CgroupRoom(),
): Promise<WorkerResult> {
  const control = new SweepControl(task.control);
  const resultOf = measureWorker(shim);
  control.enterWorker();
  try {
    const fillers = Array.from({ length: AT_ONCE }, () => {
      const watch = new MemoryWatch(task.files, shim, control, task.reserve, room);
      return fillChunks(task, control, shim, watch, goesOn);
    });
    // Waits for all of them, so that none goes on after the files are closed.
    const settled = await Promise.allSettled(fillers);
    const works = settled.map((filler) => {
      if (filler.status === "rejected") throw filler.reason;
      return filler.value;
    });
    const chunks = works.reduce((sum, { taken }) => sum + taken, 0);
    const failures = works.flatMap((work) => work.failures);
    return resultOf({ chunks, untouchedBytes: 0, failures });
  } finally {
    control.leaveWorker();
  }
}

/** Takes chunks until none is left. @returns what came of it */
async function fillChunks(
  task: WorkerTask,
  control: SweepControl,
  shim: Shim,
  watch: MemoryWatch,
  goesOn?: () => boolean,
): Promise<ChunkWork> {
  const work = new ChunkWork(task, control, watch, goesOn);
  const buffer = new Uint8Array(READ_BYTES);
  const how = { keepGoing: task.keepGoing, pageBytes: shim.pageBytes };
  for (let taken = work.take(); taken !== null; taken = work.take()) {
    const { chunk, file } = taken;
    if (file === undefined) throw new RangeError(`no file ${chunk.file}`);
    await work.turns?.wait(control);
    if (work.passOver(taken, shim)) continue;
    const reading = { chunk, file, buffer, control, watch };
    const populated = await populate(reading, task, shim);
    const rest = restOf(chunk, chunk.offset + populated);
    work.finish(taken, await readChunk({ ...reading, chunk: rest }, how));
  }
  return work;
}

interface Reading {
  readonly chunk: Chunk;
  readonly file: FileSource;
  readonly buffer: Uint8Array;
  readonly control: SweepControl;
  readonly watch: MemoryWatch;
}

/**
 * Populates a chunk of a file that is mapped. Where that fails, the chunk is to be read: a read says why.
 *
 * @returns bytes from the chunk's start that are resident by now
 */
async function populate(
  { chunk, file, control, watch }: Reading,
  { strategy, arenas }: WorkerTask,
  shim: Shim,
): Promise<number> {
  const arena = arenas[chunk.arena];
  if (strategy !== "populate" || arena === undefined) return 0;
  const address = arena.base + BigInt(chunk.start + arena.alignOffset);
  for (let done = 0; done < chunk.byteLength; ) {
    if (control.cancelled) return done;
    const byteLength = allowed(watch, Math.min(POPULATE_BYTES, chunk.byteLength - done));
    if (byteLength === 0) return done;
    const at = address + BigInt(done);
    await shim.populateInBackground(at, byteLength);
    // Page tables of a whole model would take long to drop when it is unmapped.
    shim.zapPageTables(at, byteLength);
    if (shim.residentBytes(file, chunk.offset + done, byteLength) !== byteLength) return done;
    control.addProgress(byteLength);
    done += byteLength;
  }
  return chunk.byteLength;
}

/** Bytes that may be filled; 0 where memory is short, which the read that follows finds out as well. */
function allowed(watch: MemoryWatch, byteLength: number): number {
  try {
    return watch.allow(byteLength);
  } catch (error) {
    if (error instanceof MemoryRanShort) return 0;
    throw error;
  }
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
