import { fstat, read } from "node:fs";
import { promisify } from "node:util";
import type { Shim } from "../../shims/index.ts";
import { PMD_BYTES } from "../arena/layout.ts";
import { SweepControl } from "../control/sweep-control.ts";
import type { FileSource } from "../file/open-file.ts";
import { BackgroundPopulate } from "../fill/background-populate.ts";
import { describeFailure, type FailureReport } from "../fill/failure.ts";
import { ChunkFailures } from "../fill/fill-chunk.ts";
import { type Chunk, FileShrank, FillFailed } from "../fill/filler.ts";
import { CgroupRoom } from "../memory/cgroup-room.ts";
import { MemoryWatch } from "../memory/memory-watch.ts";
import { turnIfDue } from "../turn-if-due.ts";
import { ChunkWork } from "./chunk-work.ts";
import { measureWorker } from "./measure-worker.ts";
import type { WorkerResult, WorkerTask } from "./protocol.ts";

const readAsync = promisify(read);
const statAsync = promisify(fstat);

/** Calls at a time: half of libuv's threads, which the whole process shares, and two at most. */
const POOL_THREADS = Number(process.env["UV_THREADPOOL_SIZE"]) || 4;
const AT_ONCE = Math.min(Math.max(Math.floor(POOL_THREADS / 2), 1), 2);

/** Bytes of one read: an abort is noticed after each, also on a slow device. */
const READ_BYTES = 1024 ** 2;

/** Bytes of one populate: a few large folios, and done soon on a slow device. */
const POPULATE_BYTES = 4 * PMD_BYTES;

/**
 * Does without worker threads what a worker does: populates or reads on libuv's threads, while the event loop runs.
 * For a process that cannot start a worker thread, until they have started, and beside an engine that loads: to
 * start a thread takes as much of a processor as to read 100 MiB, which the load needs.
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
  const populate = new BackgroundPopulate(task, shim);
  // Two would make a disk seek.
  const isRotational = task.files.some(({ facts }) => facts.isRotational);
  control.enterWorker();
  try {
    const fillers = Array.from({ length: isRotational ? 1 : AT_ONCE }, () => {
      const watch = new MemoryWatch(task.files, shim, control, task.reserve, room);
      const work = new ChunkWork(task, control, watch, goesOn);
      const buffer = new Uint8Array(READ_BYTES);
      return fillChunks({ task, control, shim, watch, work, populate, buffer });
    });
    // Waits for all of them, so that none goes on after the files are closed.
    const settled = await Promise.allSettled(fillers);
    const works = settled.map((filler) => {
      if (filler.status === "rejected") throw filler.reason;
      return filler.value;
    });
    const chunks = works.reduce((sum, { taken }) => sum + taken, 0);
    const failures = works.flatMap((work) => work.failures);
    return resultOf({ chunks, untouchedBytes: populate.untouchedBytes, failures });
  } finally {
    control.leaveWorker();
  }
}

/** What one of those that fill at a time works with. */
interface Filling {
  readonly task: WorkerTask;
  readonly control: SweepControl;
  readonly shim: Shim;
  readonly watch: MemoryWatch;
  readonly work: ChunkWork;
  readonly populate: BackgroundPopulate;
  readonly buffer: Uint8Array;
}

/** Takes chunks until none is left. @returns what came of it */
async function fillChunks(filling: Filling): Promise<ChunkWork> {
  const { work, control, shim } = filling;
  for (let taken = work.take(); taken !== null; taken = work.take()) {
    const { chunk, file } = taken;
    if (file === undefined) throw new RangeError(`no file ${chunk.file}`);
    await work.turns?.wait(control);
    // Chunks that are passed over wait for nothing else.
    await turnIfDue();
    if (!work.passOver(taken, shim)) work.finish(taken, await fillChunk(filling, chunk, file));
  }
  return work;
}

async function fillChunk(
  filling: Filling,
  chunk: Chunk,
  file: FileSource,
): Promise<FailureReport[]> {
  const { task, shim } = filling;
  const failures = new ChunkFailures({ keepGoing: task.keepGoing, pageBytes: shim.pageBytes });
  for (let rest: Chunk | null = chunk; rest !== null && rest.byteLength > 0; ) {
    try {
      await readChunk(filling, rest, file, await populateChunk(filling, rest, file));
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

/**
 * Populates a chunk up to what fails. A read of that says why.
 *
 * @returns bytes from the chunk's start that are resident
 * @throws {@link MemoryRanShort}
 */
async function populateChunk(
  { task, control, watch, populate }: Filling,
  chunk: Chunk,
  file: FileSource,
): Promise<number> {
  const arena = task.arenas[chunk.arena];
  if (!populate.isPossible || arena === undefined) return 0;
  const address = arena.base + BigInt(chunk.start + arena.alignOffset);
  let done = 0;
  while (done < chunk.byteLength && !control.cancelled) {
    const byteLength = watch.allow(Math.min(POPULATE_BYTES, chunk.byteLength - done));
    const fileOffset = chunk.offset + done;
    const range = { address: address + BigInt(done), byteLength, file, fileOffset };
    if (!(await populate.fill(range, chunk.file))) break;
    control.addProgress(byteLength);
    done += byteLength;
  }
  return done;
}

/**
 * Reads a chunk.
 *
 * @param from bytes from its start that are resident already
 * @throws {@link FillFailed}, {@link FileShrank}, {@link MemoryRanShort}
 */
async function readChunk(
  { control, watch, buffer }: Filling,
  { offset, byteLength }: Chunk,
  file: FileSource,
  from: number,
): Promise<void> {
  // A chunk is whole pages; the file need not be.
  const end = Math.min(offset + byteLength, file.byteLength);
  for (let at = offset + from; at < end && !control.cancelled; ) {
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
