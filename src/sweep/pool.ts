import type { Worker } from "node:worker_threads";
import type { Piscina } from "piscina";
import { messageOf } from "../describe.ts";
import { PrefaultError } from "../errors.ts";
import type { WorkerResult, WorkerTask } from "./protocol.ts";

/**
 * Threads this package ever runs at once, whatever is swept. No device tried gained from more than
 * eight workers; sixteen let two sweeps of different disks run side by side.
 */
export const MOST_WORKERS = 16;

/** The heap of a worker holds a few windows and a read buffer. */
const WORKER_HEAP_MB = 32;

/** The worker threads of one sweep. */
export interface WorkerPool {
  /**
   * Runs a task in a thread of its own, and ends the thread. Waits while {@link MOST_WORKERS} threads
   * run already.
   *
   * Settles whatever becomes of the thread: also where it cannot be started, exits while it boots, is
   * terminated or runs out of memory.
   *
   * @throws {@link PrefaultError} `PREFAULT_WORKER_FAILED`; a {@link WorkerNotStarted} when the thread
   *   was never given its task
   */
  run(task: WorkerTask): Promise<WorkerResult>;
  /** Fulfilled when none of its threads is left. Never rejects. */
  ended(): Promise<unknown>;
  /**
   * Its threads do not answer: they no longer count, and no longer keep the process alive. Every
   * `run` that is under way fails at once; each thread ends when its device answers.
   */
  abandon(): void;
}

/** No worker thread took a task: none could be started, or none came as far as its first chunk. */
export class WorkerNotStarted extends PrefaultError {
  constructor(why: string, cause?: unknown) {
    super("PREFAULT_WORKER_FAILED", `no worker thread could be started: ${why}`, { cause });
  }
}

type Thread = Piscina<WorkerTask, WorkerResult>;

/** Threads of all sweeps that run now, and the tasks that wait for one of them to end. */
let running = 0;
const waiting: (() => void)[] = [];

/** @returns what gives the place back; to be called once or more */
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
 * A pool of threads for one sweep, all of which run `workerUrl`. Piscina is loaded by the first sweep:
 * it would be half of the time it takes to import this package.
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
    if (isAbandoned) throw new WorkerNotStarted("its pool was given up");
    const thread = newThread(Piscina, workerUrl);
    let hasTask = false;
    const failed = new Promise<never>((_, reject) => {
      // Piscina throws it at the process when no one listens.
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
      // One that has no thread is left alone: it would reject a promise that it never handed out.
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

/** A pool of a single thread, so that what befalls one thread touches no other. */
function newThread(Pool: typeof Piscina, workerUrl: URL): Thread {
  return new Pool<WorkerTask, WorkerResult>({
    filename: workerUrl.href,
    minThreads: 0,
    maxThreads: 1,
    idleTimeout: Number.POSITIVE_INFINITY,
    execArgv: [],
    // Two histograms a pool, some 300 KiB that nobody looks at.
    recordTiming: false,
    // A worker that is ended in the middle of its work closes no descriptor by itself.
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

/** Longer than piscina takes to see that a thread's port is closed, when it holds on to the thread. */
const UNREF_MS = 100;

/** Has a thread end when its device answers, without anybody waiting for it. */
function abandonThread(thread: Thread): void {
  const workers = thread.threads;
  void thread.destroy();
  setTimeout(() => {
    for (const worker of workers) worker.unref();
  }, UNREF_MS);
}
