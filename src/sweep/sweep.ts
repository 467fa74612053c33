import { setTimeout as sleep } from "node:timers/promises";
import { loadShim, type Shim } from "../../shims/index.ts";
import { abandon } from "../abortable.ts";
import { SweepControl } from "../control/sweep-control.ts";
import { abortError } from "../errors.ts";
import { adviseFolioFaults } from "../fill/folio-faults.ts";
import { earlyPopulate } from "./early-populate.ts";
import type { SweepJob } from "./job.ts";
import { MOST_WORKERS, openPool, WorkerNotStarted, type WorkerPool } from "./pool.ts";
import { readWithoutWorkers } from "./read-without-workers.ts";
import { reportProgress } from "./sweep-progress.ts";
import { resultsOf, type SweepResult, summary } from "./sweep-result.ts";
import { workerRoom } from "./worker-room.ts";
import { workerTask } from "./worker-task.ts";

/**
 * Workers look at the cancel word every few milliseconds, unless the device answers slowly. After this
 * long the caller is told without them; what they hold goes when they come back.
 */
const ABORT_GRACE_MS = 100;

/** A thread that takes this long to come back waits for its device, and not for a processor. */
const STUCK_MS = 1000;

/** A sweep under way. */
export interface Sweep {
  /** @throws {@link PrefaultError} `PREFAULT_ABORTED`, `PREFAULT_WORKER_FAILED` */
  readonly result: Promise<SweepResult>;
  /** Fulfilled when the workers have let go of the files and nothing is mapped any more. Never rejects. */
  readonly released: Promise<void>;
  /** Whether `result` came without waiting for the workers, because they do not answer. */
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
  const task = workerTask(job);
  const threads = threadsFor(job);
  for (const arena of arenas) arena.control.reset();
  const control = new SweepControl(
    task.control,
    arenas.map((arena) => arena.control),
  );
  adviseFolioFaults(task, "random", shim);
  const early = earlyPopulate(job, control, shim);
  let pool: WorkerPool | null = null;
  try {
    if (threads > 0) pool = await openPool(job.workerUrl);
  } catch (error) {
    control.cancel();
    await early?.over;
    throw error;
  }

  const stopProgress = reportProgress(job, control);
  const runWorker = () => (pool === null ? readWithoutWorkers(task, shim) : pool.run(task));
  const running = Promise.allSettled(
    Array.from({ length: Math.max(threads, 1) }, () =>
      runWorker().catch((error: unknown) => {
        // Those that started do the work of those that did not. A worker that died in the middle takes
        // the others with it: they see the word and stop.
        if (!(error instanceof WorkerNotStarted)) control.cancel();
        throw error;
      }),
    ),
  );
  // Whether or not anyone still waits for the workers, this is when nothing uses the files any more.
  let isReleased = false;
  let residentBytes: readonly (number | null)[] | null = null;
  const released = running.then(async () => {
    stopProgress();
    await Promise.all([early?.over, pool?.ended()]);
    control.releaseArenas();
    if (!control.cancelled && job.mapping?.views !== undefined) {
      residentBytes = await job.mapping.views.residentBytes().catch(() => null);
    }
    if (task.keepPageTables) adviseFolioFaults(task, "normal", shim);
    job.mapping?.release();
    isReleased = true;
  });
  let isStuck = false;

  /** Lets the caller go on without the workers, which end when their device answers. */
  function abandonWorkers(): void {
    void abandon(released);
    // Threads that are only slow to start see the cancel word, and end like any other.
    const timer = setInterval(() => {
      if (control.workers === 0) return;
      clearInterval(timer);
      pool?.abandon();
    }, STUCK_MS);
    running.then(() => clearInterval(timer));
  }

  async function waitForResult(): Promise<SweepResult> {
    const signal = watch(job.signal);
    try {
      await Promise.race([running, signal.fired]);
      if (job.signal?.aborted) {
        control.cancel();
        await Promise.race([released, sleep(ABORT_GRACE_MS, undefined, { ref: false })]);
        isStuck = !isReleased;
        if (isStuck) abandonWorkers();
        throw abortError(job.signal);
      }
      await released;
      const results = resultsOf(await running, control);
      return {
        chunks: job.chunks.length,
        workers: pool === null ? 0 : results.length,
        residentBytes,
        ...summary(results, control, early),
      };
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
      return isStuck;
    },
  };
}

/** How many worker threads; 0 to read on this one. @throws {@link WorkerNotStarted} */
function threadsFor({ workers, chunks }: SweepJob): number {
  if (workers === 0) return 0;
  const room = workerRoom();
  if (room > 0) return Math.max(1, Math.min(workers, MOST_WORKERS, chunks.length, room));
  throw new WorkerNotStarted("the limits of this process leave no room for one (ulimit -v or -d)");
}

/** A signal as a promise, and what takes the listener away again. */
function watch(signal: AbortSignal | undefined) {
  let onAbort = () => {};
  const fired = new Promise<void>((resolve) => {
    onAbort = resolve;
  });
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted) onAbort();
  return { fired, unwatch: () => signal?.removeEventListener("abort", onAbort) };
}
