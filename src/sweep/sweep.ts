import { setTimeout as sleep } from "node:timers/promises";
import { loadShim, type Shim } from "../../shims/index.ts";
import { abandon } from "../abortable.ts";
import { SweepControl } from "../control/sweep-control.ts";
import { abortError, PrefaultError } from "../errors.ts";
import { adviseFolioFaults } from "../fill/folio-faults.ts";
import { earlyPopulate } from "./early-populate.ts";
import { earlyRead } from "./early-read.ts";
import { fillWithoutWorkers } from "./fill-without-workers.ts";
import { type PopulateHung, takeMappingAway, watchForHang } from "./hanging-populate.ts";
import type { SweepJob } from "./job.ts";
import { paysToStartMore } from "./later-workers.ts";
import { openPool, WorkerNotStarted, type WorkerPool } from "./pool.ts";
import { reportProgress } from "./sweep-progress.ts";
import { resultsOf, type SweepResult, summary } from "./sweep-result.ts";
import { MOST_WORKERS } from "./worker-count.ts";
import { workerRoom } from "./worker-room.ts";
import { workerTask } from "./worker-task.ts";

/**
 * Workers check the cancel word every few milliseconds, unless the device answers slowly. After this time
 * the sweep rejects without waiting for them, and releases files and mappings when they have ended.
 */
const ABORT_GRACE_MS = 100;

/** Threads that came back from a populate that hung wait for one answer of the device at most. */
const HANG_GRACE_MS = 10_000;

/** A thread that has not ended after this time waits for its device, and not for a processor. */
const STUCK_MS = 1000;

/** A sweep that was started. */
export interface Sweep {
  /**
   * @throws {@link PrefaultError} `PREFAULT_ABORTED`, `PREFAULT_WORKER_FAILED`; {@link PopulateHung} with all
   *   threads ended, and `PREFAULT_READ_FAILED` where they still hang
   */
  readonly result: Promise<SweepResult>;
  /** Fulfilled when no worker uses the files any more and the mapping is released. Never rejects. */
  readonly released: Promise<void>;
  /** Whether `result` was rejected while workers still waited for the device. */
  readonly stuck: boolean;
}

/**
 * Starts to make every chunk resident. Ends its threads and releases the mapping in every case. The files
 * have to stay open until `released`, which can be long after `result` when a sweep is aborted while its
 * device does not answer.
 *
 * @throws {@link WorkerNotStarted} with nothing filled and the mapping released; `result` may reject with
 *   it too
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
  const task = workerTask(job);
  const threads = threadsFor(job);
  const first = Math.min(threads, job.firstWorkers);
  for (const arena of arenas) arena.control.reset();
  const control = new SweepControl(
    task.control,
    arenas.map((arena) => arena.control),
  );
  adviseFolioFaults(task, "random", shim);
  const early = threads === 0 ? null : earlyPopulate(job, control, shim);
  const reading = earlyRead(job, task, first, control, shim);
  const earlyOver = Promise.allSettled([early?.over, reading]);
  let pool: WorkerPool | null = null;
  try {
    if (threads > 0) pool = await openPool(job.workerUrl);
  } catch (error) {
    control.cancel();
    await earlyOver;
    throw error;
  }

  const stopProgress = reportProgress(job, control);
  const hang = watchForHang(job, control, shim);
  const runWorker = () =>
    (pool === null ? fillWithoutWorkers(task, shim) : pool.run(task)).catch((error: unknown) => {
      // Workers that started do the work of one that did not. After a worker that died the others are
      // cancelled.
      if (!(error instanceof WorkerNotStarted)) control.cancel();
      throw error;
    });
  const runWorkers = (length: number) => Promise.allSettled(Array.from({ length }, runWorker));
  const runningFirst = runWorkers(Math.max(first, 1));
  const all = { bytes: job.chunks.byteLength, chunks: job.chunks.length };
  const runningLater =
    threads > first
      ? paysToStartMore(control, all, job.turns, runningFirst).then((pays) =>
          // The room is asked again: what was mapped meanwhile may have taken it.
          runWorkers(pays ? Math.min(threads - first, workerRoom()) : 0),
        )
      : Promise.resolve([]);
  const running = Promise.all([runningFirst, runningLater]).then((settled) => settled.flat());
  // From here on no thread uses the files any more, also after an abort.
  let isReleased = false;
  let residentBytes: readonly (number | null)[] | null = null;
  const released = running.then(async () => {
    // What reads early does not go on in place of workers that could not be started.
    if (!control.hasBegun) control.cancel();
    await Promise.all([earlyOver, pool?.ended(), hang.stop()]);
    stopProgress();
    control.releaseArenas();
    if (!control.cancelled && job.mapping?.views !== undefined) {
      residentBytes = await job.mapping.views.residentBytes().catch(() => null);
    }
    if (task.keepPageTables) adviseFolioFaults(task, "normal", shim);
    job.mapping?.release();
    isReleased = true;
  });
  let isStuck = false;

  /** Stops waiting for the workers, which end when their device answers. */
  function abandonWorkers(): void {
    void abandon(released);
    // Not while no worker has begun: a thread that starts slowly sees the cancel word, and ends by itself.
    const timer = setInterval(() => {
      if (control.workers === 0) return;
      clearInterval(timer);
      pool?.abandon();
    }, STUCK_MS);
    running.then(() => clearInterval(timer));
  }

  async function giveUp(graceMs: number): Promise<void> {
    control.cancel();
    await Promise.race([released, sleep(graceMs, undefined, { ref: false })]);
    isStuck = !isReleased;
    if (isStuck) abandonWorkers();
  }

  async function waitForResult(): Promise<SweepResult> {
    const signal = watch(job.signal);
    try {
      // Not on the workers alone: they end at once where what reads early has taken every chunk.
      await Promise.race([released, signal.fired, hang.found]);
      if (job.signal?.aborted) {
        await giveUp(ABORT_GRACE_MS);
        throw abortError(job.signal);
      }
      if (hang.error !== null) {
        control.cancel();
        const isTaken = takeMappingAway(job);
        await giveUp(isTaken ? HANG_GRACE_MS : ABORT_GRACE_MS);
        throw isStuck
          ? new PrefaultError(hang.error.code, hang.error.message, hang.error)
          : hang.error;
      }
      const results = resultsOf(await running, control);
      const read = await reading;
      return {
        chunks: job.chunks.length,
        workers: pool === null ? 0 : results.length,
        residentBytes,
        ...summary(read === null ? results : [...results, read], control, early),
      };
    } finally {
      signal.unwatch();
      stopProgress();
    }
  }
  const result = waitForResult();
  // The caller adds its handler a moment later.
  result.catch(() => {});
  return {
    result,
    released,
    get stuck() {
      return isStuck;
    },
  };
}

/** The number of worker threads; 0 to fill without. @throws {@link WorkerNotStarted} */
function threadsFor({ workers, chunks }: SweepJob): number {
  if (workers === 0) return 0;
  const room = workerRoom();
  if (room > 0) return Math.max(1, Math.min(workers, MOST_WORKERS, chunks.length, room));
  throw new WorkerNotStarted("the limits of this process leave no room for one (ulimit -v or -d)");
}

/** A signal as a promise, with a function that removes the listener. */
function watch(signal: AbortSignal | undefined) {
  let onAbort = () => {};
  const fired = new Promise<void>((resolve) => {
    onAbort = resolve;
  });
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted) onAbort();
  return { fired, unwatch: () => signal?.removeEventListener("abort", onAbort) };
}
