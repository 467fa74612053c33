import type { Worker } from "node:worker_threads";
import type { Piscina } from "piscina";
import { messageOf } from "../describe.ts";
import { PrefaultError } from "../errors.ts";
import type { WorkerResult, WorkerTask } from "./protocol.ts";
import { MOST_WORKERS } from "./worker-count.ts";

/** MiB of a worker's heap, which holds little more than a read buffer of 1 MiB. */
const WORKER_HEAP_MB = 32;

/** The worker threads of one sweep. */
export interface WorkerPool {
  /**
   * Runs a task in a thread of its own, and ends the thread. Waits while {@link MOST_WORKERS} threads
   * run already.
   *
   * Settles in every case: also when the thread cannot be started, exits while it boots, is terminated or
   * runs out of memory.
   *
   * @throws {@link PrefaultError} `PREFAULT_WORKER_FAILED`; {@link WorkerNotStarted} when the
   *   thread did not get its task
   */
  run(task: WorkerTask): Promise<WorkerResult>;
  /** Fulfilled when all of its threads have ended. Never rejects. */
  ended(): Promise<unknown>;
  /**
   * Gives up threads that do not answer: they no longer count towards {@link MOST_WORKERS}, and no longer
   * keep the process alive. Every `run` under way fails at once; each thread ends when its device answers.
   */
  abandon(): void;
}

/** No worker thread took a chunk: none could be started, or each ended before. */
export class WorkerNotStarted extends PrefaultError {
  constructor(why: string, cause?: unknown) {
    super("PREFAULT_WORKER_FAILED", `no worker thread could be started: ${why}`, { cause });
  }
}

type Thread = Piscina<WorkerTask, WorkerResult>;

/** The number of threads of all sweeps, and the tasks that wait for one of them to end. */
let running = 0;
const waiting: (() => void)[] = [];

/** Waits for a place among {@link MOST_WORKERS}. @returns frees the place; may be called repeatedly */
async function takePlace(): Promise<() => void> {
  while (running >= MOST_WORKERS) await new Promise<void>((resolve) => waiting.push(resolve));
  running += 1;
  let isTaken = true;
  return () => {
    if (!isTaken) return;
    isTaken = false;
    running -= 1;
    waiting.shift()?.();
  };
}

/**
 * Opens a pool of threads for one sweep; each runs `workerUrl`. Piscina is loaded at the first sweep,
 * since it would double the time to import this package.
 *
 * @throws {@link WorkerNotStarted}
 */
export async function openPool(workerUrl: URL): Promise<WorkerPool> {
  const { Piscina } = await import("piscina").catch((cause: unknown) => {
    throw new WorkerNotStarted(messageOf(cause), cause);
  });
  const threads = new Map<Thread, Promise<void>>();
  const places = new Set<() => void>();
  let isAbandoned = false;

  async function runInThread(task: WorkerTask): Promise<WorkerResult> {
    if (isAbandoned) throw new WorkerNotStarted("its pool was abandoned");
    const thread = newThread(Piscina, workerUrl);
    let hasTask = false;
    const failed = new Promise<never>((_, reject) => {
      // Without a listener the error would be an uncaught exception of the process.
      thread.on("error", reject);
      thread.once("workerCreate", () => {
        hasTask = true;
      });
    });
    failed.catch(() => {});
    try {
      // Throws where the system gives no thread.
      const result = thread.run(task);
      result.catch(() => {});
      const exit = exitOf(thread);
      threads.set(
        thread,
        exit.then(() => {}),
      );
      // A thread that ends without an error leaves the task waiting (piscina 5.3).
      const ended = exit.then((code) => Promise.reject(new Error(`it exited with code ${code}`)));
      return await Promise.race([result, failed, ended]);
    } catch (cause) {
      if (!hasTask) throw new WorkerNotStarted(messageOf(cause), cause);
      const message = `a worker thread failed: ${messageOf(cause)}`;
      throw new PrefaultError("PREFAULT_WORKER_FAILED", message, { cause });
    } finally {
      // Not without a thread: piscina would then reject a promise that nobody has a reference to.
      if (threads.has(thread) && !isAbandoned) await thread.destroy();
    }
  }

  return {
    async run(task) {
      const giveBack = await takePlace();
      places.add(giveBack);
      try {
        return await runInThread(task);
      } finally {
        places.delete(giveBack);
        giveBack();
      }
    },
    ended: () => Promise.all(threads.values()),
    abandon() {
      isAbandoned = true;
      for (const giveBack of places) giveBack();
      for (const thread of threads.keys()) abandonThread(thread);
    },
  };
}

/** A piscina pool of one thread, so that the failure of a thread affects no other. */
function newThread(Pool: typeof Piscina, workerUrl: URL): Thread {
  return new Pool<WorkerTask, WorkerResult>({
    filename: workerUrl.href,
    minThreads: 0,
    maxThreads: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
    execArgv: [],
    // Two histograms a pool, about 300 KiB, which are not used here.
    recordTiming: false,
    // Closes the descriptors of a worker that is terminated.
    trackUnmanagedFds: true,
    resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MB, maxYoungGenerationSizeMb: 8 },
  });
}

/** The worker of a thread that has just been given its task. */
function workerOf({ threads }: Thread): Worker {
  const [worker] = threads;
  if (worker === undefined) throw new Error("the pool has no thread");
  return worker;
}

function exitOf(thread: Thread): Promise<number> {
  return new Promise((resolve) => workerOf(thread).once("exit", resolve));
}

/** When a thread's port closes, piscina refs the thread once more: the unref comes after that. */
const UNREF_MS = 100;

/** Ends a thread as soon as its device answers. The process does not wait for it. */
function abandonThread(thread: Thread): void {
  const workers = thread.threads;
  void thread.destroy();
  setTimeout(() => {
    for (const worker of workers) worker.unref();
  }, UNREF_MS);
}
