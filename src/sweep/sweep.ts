import { setTimeout as sleep } from "node:timers/promises";
import { loadShim } from "../../shims/index.ts";
import { CONTROL_BYTES, ControlPage } from "../control.ts";
import { abortError } from "../errors.ts";
import { leaveBehind } from "../left-behind.ts";
import { DoneChunks } from "./done-chunks.ts";
import { adviseExactFolios, wantsExactFolios } from "./exact-folios.ts";
import { type HeadStart, headStart } from "./head-start.ts";
import type { SweepJob } from "./job.ts";
import { joinPool, MOST_LANES } from "./pool.ts";
import type { LaneFailure, LaneResult, LaneTask } from "./protocol.ts";
import { hintBytes } from "./read-ahead.ts";

export interface SweepResult {
  readonly chunks: number;
  /** Lanes that ran. */
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
  /** Fulfilled when the lanes have let go of the files and nothing is mapped any more. */
  readonly released: Promise<void>;
  readonly done: DoneChunks;
  /** Whether `result` came without waiting for the lanes, because they do not answer. */
  readonly stuck: boolean;
}

/**
 * Makes every chunk resident. Releases the mapping and leaves no thread behind, whatever happens.
 * The files have to stay open until `released`, which after an abort on a device that does not
 * answer can be long after `result`.
 */
export async function startSweep(job: SweepJob): Promise<Sweep> {
  const shim = await loadShim();
  const arenas = job.mapping?.arenas ?? [];
  const { chunks } = job;
  const done = DoneChunks.forChunks(chunks.length);
  const task = laneTask(job, done);
  const workers = Math.min(job.workers, MOST_LANES, chunks.length);
  for (const arena of arenas) arena.control.reset();
  const control = new ControlPage(task.control);
  adviseExactFolios(task, "random", shim);
  const ahead = headStart(job, control, shim);
  const pool = await joinPool(job.workerUrl).catch(async (error: unknown) => {
    control.cancel();
    await ahead?.over;
    job.mapping?.release();
    throw error;
  });
  const pages = [control, ...arenas.map((arena) => arena.control)];
  const cancel = () => {
    for (const page of pages) page.cancel();
  };

  const stopProgress = reportProgress(job, pages);
  const lanes = Promise.allSettled(
    Array.from({ length: workers }, () =>
      // A lane that died takes the others with it: they see the word and stop.
      pool.run(task).catch((error: unknown) => {
        cancel();
        throw error;
      }),
    ),
  );
  // Whether or not anyone still waits for the lanes, this is when they let go.
  let letGo = false;
  let residentBytes: readonly (number | null)[] | null = null;
  const released = lanes.then(async () => {
    stopProgress();
    await Promise.all([ahead?.over, pool.ended()]);
    // The next sweep may take the arenas at once: from here on their control pages are not ours.
    pages.splice(1);
    try {
      if (!control.cancelled) residentBytes = (await job.mapping?.views?.residentBytes()) ?? null;
    } finally {
      if (task.keepTables) adviseExactFolios(task, "normal", shim);
      try {
        job.mapping?.release();
      } finally {
        await pool.leave();
      }
    }
    letGo = true;
  });
  let gaveUp = false;

  function giveUp(): void {
    void leaveBehind(released);
    // Threads that are only slow to start will see the cancel word, and end like any other.
    const timer = setInterval(() => {
      if (control.lanes === 0) return;
      clearInterval(timer);
      pool.abandon();
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
      const results = (await lanes).map((lane) => {
        if (lane.status === "rejected") throw lane.reason;
        return lane.value;
      });
      return { chunks: chunks.length, workers, residentBytes, ...summary(results, control, ahead) };
    } finally {
      signal.unwatch();
      stopProgress();
    }
  }
  return {
    result: waitForResult(),
    released,
    done,
    get stuck() {
      return gaveUp;
    },
  };
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

function laneTask(job: SweepJob, done: DoneChunks): LaneTask {
  const arenas = job.mapping?.arenas ?? [];
  return {
    control: new SharedArrayBuffer(CONTROL_BYTES),
    chunks: job.chunks.buffer,
    done: done.buffer,
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
