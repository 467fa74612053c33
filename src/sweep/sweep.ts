import { setTimeout as sleep } from "node:timers/promises";
import { loadShim, type Shim } from "../../shims/index.ts";
import { CONTROL_BYTES, ControlPage } from "../control.ts";
import { messageOf } from "../describe.ts";
import { abortError } from "../errors.ts";
import { leaveBehind } from "../left-behind.ts";
import { adviseExactFolios, wantsExactFolios } from "./exact-folios.ts";
import { type HeadStart, headStart } from "./head-start.ts";
import type { SweepJob } from "./job.ts";
import { type LanePool, MOST_LANES, openPool, WorkerNotStarted } from "./pool.ts";
import type { LaneFailure, LaneResult, LaneTask } from "./protocol.ts";
import { hintBytes } from "./read-ahead.ts";
import { readHere } from "./read-here.ts";
import { workerRoom } from "./worker-room.ts";

export interface SweepResult {
  readonly chunks: number;
  /** Worker threads that filled; 0 when the calling thread read. */
  readonly workers: number;
  readonly seconds: number;
  /** By file, where only the sweep's own mapping could tell; `null` where files can be asked about. */
  readonly residentBytes: readonly (number | null)[] | null;
  readonly minorFaults: number;
  readonly majorFaults: number;
  /** Whether the page cache holds what was filled in large folios; `null` when it was not found out. */
  readonly largeFolios: boolean | null;
  /** Bytes filled but not touched, because their file could not be held still. */
  readonly untouchedBytes: number;
  readonly failures: readonly LaneFailure[];
}

const PROGRESS_MS = 100;

/**
 * Lanes look at the cancel word every few milliseconds, unless the device answers slowly. After this
 * long the caller is told without them; what they hold goes when they come back.
 */
const ABORT_GRACE_MS = 100;

/** A thread that takes this long to come back waits for its device, and not for a processor. */
const STUCK_MS = 1000;

/** A sweep under way. */
export interface Sweep {
  /** @throws {@link PrefaultError} `PREFAULT_ABORTED`, `PREFAULT_WORKER_FAILED` */
  readonly result: Promise<SweepResult>;
  /** Fulfilled when the lanes have let go of the files and nothing is mapped any more. Never rejects. */
  readonly released: Promise<void>;
  /** Whether `result` came without waiting for the lanes, because they do not answer. */
  readonly stuck: boolean;
}

/**
 * Makes every chunk resident. Releases the mapping and leaves no thread behind, whatever happens.
 * The files have to stay open until `released`, which after an abort on a device that does not
 * answer can be long after `result`.
 *
 * @throws {@link WorkerNotStarted} with nothing begun and the mapping released; so does `result`
 */
export async function startSweep(job: SweepJob): Promise<Sweep> {
  try {
    return await start(job, await loadShim());
  } catch (error) {
    job.mapping?.release();
    throw error;
  }
}

async function start(job: SweepJob, shim: Shim): Promise<Sweep> {
  const arenas = job.mapping?.arenas ?? [];
  const { chunks } = job;
  const task = laneTask(job);
  const threads = threadsFor(job);
  for (const arena of arenas) arena.control.reset();
  const control = new ControlPage(task.control);
  adviseExactFolios(task, "random", shim);
  const ahead = headStart(job, control, shim);
  let pool: LanePool | null = null;
  try {
    if (threads > 0) pool = await openPool(job.workerUrl);
  } catch (error) {
    control.cancel();
    await ahead?.over;
    throw error;
  }
  const pages = [control, ...arenas.map((arena) => arena.control)];
  const cancel = () => {
    for (const page of pages) page.cancel();
  };

  const stopProgress = reportProgress(job, pages);
  const runLane = () => (pool === null ? readHere(task, shim) : pool.run(task));
  const lanes = Promise.allSettled(
    Array.from({ length: Math.max(threads, 1) }, () =>
      runLane().catch((error: unknown) => {
        // Those that started do the work of those that did not. A lane that died in the middle takes
        // the others with it: they see the word and stop.
        if (!(error instanceof WorkerNotStarted)) cancel();
        throw error;
      }),
    ),
  );
  // Whether or not anyone still waits for the lanes, this is when they let go.
  let letGo = false;
  let residentBytes: readonly (number | null)[] | null = null;
  const released = lanes.then(async () => {
    stopProgress();
    await Promise.all([ahead?.over, pool?.ended()]);
    // The next sweep may take the arenas at once: from here on their control pages are not ours.
    pages.splice(1);
    if (!control.cancelled && job.mapping?.views !== undefined) {
      residentBytes = await job.mapping.views.residentBytes().catch(() => null);
    }
    if (task.keepTables) adviseExactFolios(task, "normal", shim);
    job.mapping?.release();
    letGo = true;
  });
  let gaveUp = false;

  function giveUp(): void {
    void leaveBehind(released);
    // Threads that are only slow to start will see the cancel word, and end like any other.
    const timer = setInterval(() => {
      if (control.lanes === 0) return;
      clearInterval(timer);
      pool?.abandon();
    }, STUCK_MS);
    lanes.then(() => clearInterval(timer));
  }

  async function waitForResult(): Promise<SweepResult> {
    const signal = watch(job.signal);
    try {
      await Promise.race([lanes, signal.fired]);
      if (job.signal?.aborted) {
        cancel();
        await Promise.race([released, sleep(ABORT_GRACE_MS, undefined, { ref: false })]);
        gaveUp = !letGo;
        if (gaveUp) giveUp();
        throw abortError(job.signal);
      }
      await released;
      const results = resultsOf(await lanes, control);
      const workers = pool === null ? 0 : results.length;
      return { chunks: chunks.length, workers, residentBytes, ...summary(results, control, ahead) };
    } finally {
      signal.unwatch();
      stopProgress();
    }
  }
  const result = waitForResult();
  // Whoever started the sweep looks at it a moment later.
  result.catch(() => {});
  return {
    result,
    released,
    get stuck() {
      return gaveUp;
    },
  };
}

/** How many worker threads; 0 to read on this one. @throws {@link WorkerNotStarted} */
function threadsFor({ workers, chunks }: SweepJob): number {
  if (workers === 0) return 0;
  const room = workerRoom();
  if (room > 0) return Math.max(1, Math.min(workers, MOST_LANES, chunks.length, room));
  throw new WorkerNotStarted("the limits of this process leave no room for one (ulimit -v or -d)");
}

/**
 * What the lanes did. Lanes that never started are not missed, as long as one did.
 *
 * @throws what the first lane failed with that died; {@link WorkerNotStarted} when none took a chunk
 */
function resultsOf(lanes: readonly PromiseSettledResult<LaneResult>[], control: ControlPage) {
  const failed = lanes.flatMap((lane) => (lane.status === "rejected" ? [lane.reason] : []));
  const results = lanes.flatMap((lane) => (lane.status === "fulfilled" ? [lane.value] : []));
  const died = failed.find((reason) => !(reason instanceof WorkerNotStarted));
  if (failed.length > 0 && !control.hasBegun) {
    const [first] = failed;
    throw first instanceof WorkerNotStarted ? first : new WorkerNotStarted(messageOf(first), first);
  }
  if (died !== undefined) throw died;
  if (results.length === 0) throw failed[0];
  return results;
}

/** A signal as something that can be waited for, and let go of. */
function watch(signal: AbortSignal | undefined) {
  let onAbort = () => {};
  const fired = new Promise<void>((resolve) => {
    onAbort = resolve;
  });
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted) onAbort();
  return { fired, unwatch: () => signal?.removeEventListener("abort", onAbort) };
}

function laneTask(job: SweepJob): LaneTask {
  const arenas = job.mapping?.arenas ?? [];
  return {
    control: new SharedArrayBuffer(CONTROL_BYTES),
    chunks: job.chunks.buffer,
    done: job.done.buffer,
    arenas: arenas.map(({ memory, base, skew }) => ({ memory, base, skew })),
    views: job.mapping?.views?.addresses ?? [],
    windows: job.windows,
    files: job.files,
    strategy: job.strategy,
    exactFolios: job.files.map((file) => job.strategy !== "read" && wantsExactFolios(file)),
    hintBytes: Math.min(...job.files.map(({ facts }) => hintBytes(facts))),
    keepTables: job.mapping?.keepTables ?? false,
    keepGoing: job.keepGoing,
  };
}

/** Starts telling how far the sweep has come; the first stop says it once more. */
function reportProgress(job: SweepJob, pages: readonly ControlPage[]): () => void {
  const { onProgress } = job;
  if (onProgress === undefined) return () => {};
  const bytesTotal = job.chunks.byteLength;
  const report = () => {
    const bytesDone = pages.reduce((sum, page) => sum + page.progress, 0);
    onProgress({ bytesDone, bytesTotal });
  };
  const timer = setInterval(report, PROGRESS_MS);
  let stopped = false;
  return () => {
    if (stopped) return;
    stopped = true;
    clearInterval(timer);
    report();
  };
}

/** Lanes fail in any order. */
function inFileOrder(a: LaneFailure, b: LaneFailure): number {
  if (a.path === b.path) return a.offset - b.offset;
  return a.path < b.path ? -1 : 1;
}

function summary(results: readonly LaneResult[], control: ControlPage, ahead: HeadStart | null) {
  const sum = (of: (result: LaneResult) => number) =>
    results.reduce((total, result) => total + of(result), 0);
  // Lanes that all counted the process's faults counted the same ones.
  const faults = (of: (result: LaneResult) => number) =>
    results.some(({ faultsOf }) => faultsOf === "process") ? Math.max(...results.map(of)) : sum(of);
  const started = results.map((result) => result.startedMs);
  const startedMs = ahead?.startedMs ?? Math.min(...started);
  const endedMs = Math.max(...results.map((result) => result.endedMs));
  return {
    seconds: (endedMs - startedMs) / 1000,
    minorFaults: faults((result) => result.minorFaults),
    majorFaults: faults((result) => result.majorFaults),
    untouchedBytes: sum((result) => result.untouchedBytes),
    largeFolios: control.largeFolios,
    failures: results.flatMap((result) => result.failures).sort(inFileOrder),
  };
}
