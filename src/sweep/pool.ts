import { once } from "node:events";
import type { Piscina } from "piscina";
import { PrefaultError } from "../errors.ts";
import type { LaneResult, LaneTask } from "./protocol.ts";

/**
 * Threads this package ever runs at once, whatever is swept. No device tried gained from more than
 * eight lanes; sixteen let two sweeps of different disks run side by side.
 */
export const MOST_LANES = 16;

/** The heap of a lane holds a few windows and a read buffer. */
const LANE_HEAP_MB = 32;

/** Sweeps that run at the same time share threads. */
export interface LanePool {
  run(task: LaneTask): Promise<LaneResult>;
  /** To be called once, when the sweep is over: the last one out ends the threads. */
  leave(): Promise<void>;
  /**
   * Its threads do not answer: later sweeps get others, and what runs in these no longer keeps the
   * process alive. Every `run` that is under way fails at once.
   */
  abandon(): void;
  /** Fulfilled when no thread of a pool that was abandoned is left, and at once for any other. */
  ended(): Promise<unknown>;
}

interface Shared {
  readonly piscina: Piscina<LaneTask, LaneResult>;
  users: number;
  /** Of those, the ones whose threads do not answer. */
  abandoned: number;
  ended: Promise<unknown>;
  /** Why no thread can be started, and when those that had been are gone. */
  failure?: { readonly cause: Error; readonly ended: Promise<void> };
}

const pools = new Map<string, Shared>();

/**
 * Joins the pool whose threads run `workerUrl`, and starts it when there is none. Piscina is loaded
 * by the first sweep: it would be half of the time it takes to import this package.
 */
export async function joinPool(workerUrl: URL): Promise<LanePool> {
  const { Piscina } = await import("piscina");
  const shared = pools.get(workerUrl.href) ?? startPool(Piscina, workerUrl);
  shared.users += 1;
  let abandoned = false;
  return {
    async run(task) {
      try {
        return await shared.piscina.run(task);
      } catch (error) {
        await shared.failure?.ended;
        const cause = shared.failure?.cause ?? error;
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new PrefaultError("PREFAULT_WORKER_FAILED", `a worker thread failed: ${why}`, {
          cause,
        });
      }
    },
    async leave() {
      shared.users -= 1;
      if (abandoned) shared.abandoned -= 1;
      endAbandoned(shared);
      if (shared.users > 0) return;
      forget(workerUrl, shared);
      await shared.piscina.destroy();
    },
    abandon() {
      abandoned = true;
      shared.abandoned += 1;
      forget(workerUrl, shared);
      endAbandoned(shared);
    },
    ended: () => shared.ended,
  };
}

function startPool(Pool: typeof Piscina, workerUrl: URL): Shared {
  const piscina = new Pool<LaneTask, LaneResult>({
    filename: workerUrl.href,
    minThreads: 0,
    maxThreads: MOST_LANES,
    // Threads live as long as the pool, which lives as long as its sweeps.
    idleTimeout: 60_000,
    execArgv: [],
    // A lane that is ended in the middle of its work closes no descriptor by itself.
    trackUnmanagedFds: true,
    resourceLimits: { maxOldGenerationSizeMb: LANE_HEAP_MB, maxYoungGenerationSizeMb: 8 },
  });
  const shared: Shared = { piscina, users: 0, abandoned: 0, ended: Promise.resolve() };
  // A thread that cannot start has no task that could fail: piscina tells it here, or throws it at
  // the process when no one listens, and leaves the tasks waiting.
  piscina.on("error", (cause: Error) => {
    forget(workerUrl, shared);
    shared.failure ??= { cause, ended: piscina.destroy() };
  });
  pools.set(workerUrl.href, shared);
  return shared;
}

/** Longer than piscina takes to see that a thread's port is closed, when it holds on to the thread. */
const UNREF_MS = 100;

/** Ends the threads once nobody waits for them; each is gone when its device answers. */
function endAbandoned(shared: Shared): void {
  const { threads } = shared.piscina;
  if (shared.abandoned === 0 || shared.abandoned < shared.users) return;
  shared.ended = Promise.all([shared.ended, ...threads.map((thread) => once(thread, "exit"))]);
  void shared.piscina.destroy();
  setTimeout(() => {
    for (const thread of threads) thread.unref();
  }, UNREF_MS);
}

/** The next sweep starts a pool of its own. */
function forget(workerUrl: URL, shared: Shared): void {
  if (pools.get(workerUrl.href) === shared) pools.delete(workerUrl.href);
}
