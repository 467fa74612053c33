import { open } from "node:fs/promises";
import { resolve } from "node:path";
import { Worker } from "node:worker_threads";
import { loadShim } from "../../shims/index.ts";
import { type Arena, returnArena, takeArena } from "../../src/arena/arena.ts";
import { layOut } from "../../src/arena/layout.ts";
import { CONTROL_BYTES } from "../../src/control/arena-control.ts";
import { cutChunks } from "../../src/plan/merge.ts";
import { gibPerSecond } from "../../src/units.ts";
import { bundle } from "../bundle.ts";
import type { Sample } from "../result.ts";
import type { WorkerOrder, WorkerSettings, WorkerTimes } from "./worker.ts";

export interface PoolSettings extends WorkerSettings {
  readonly workers: number;
  readonly chunkBytes: number;
  /** Whether the mapping asks for large folios. */
  readonly largeFolios: boolean;
}

/** Threads that fill a file by the settings of each call. They stay for all runs. */
export class Workers {
  readonly #workers: readonly Worker[];

  private constructor(workers: readonly Worker[]) {
    this.#workers = workers;
  }

  static async start(most: number): Promise<Workers> {
    const script = resolve(await bundle("bench/pool/worker.ts"));
    const workers = Array.from({ length: most }, () => new Worker(script));
    await Promise.all(workers.map((worker) => answer<string>(worker)));
    return new Workers(workers);
  }

  /** Maps the file afresh, so that page tables are empty, and fills it. */
  async fill(path: string, settings: PoolSettings): Promise<Sample> {
    const shim = await loadShim();
    const handle = await open(path);
    const { size } = await handle.stat();
    const byteLength = Math.ceil(size / shim.pageBytes) * shim.pageBytes;
    const layout = layOut([[{ offset: 0, byteLength }]]);
    const arenas = Array.from({ length: layout.arenas }, () => takeArena(shim));
    try {
      for (const extent of layout.extents) {
        const arena = arenas[extent.arena] as Arena;
        arena.place(extent, handle.fd);
        // The arena asks for large folios itself; mapping the range again drops that advice.
        const address = arena.base + BigInt(extent.start + arena.alignOffset);
        if (!settings.largeFolios) {
          shim.place(address, extent.byteLength, handle.fd, extent.offset);
        }
      }
      const order: WorkerOrder = {
        ...settings,
        control: new SharedArrayBuffer(CONTROL_BYTES),
        chunks: cutChunks(layout.ranges, settings.chunkBytes).buffer,
        arenas: arenas.map(({ memory, base, alignOffset }) => ({ memory, base, alignOffset })),
      };
      const times = await Promise.all(
        this.#workers.slice(0, settings.workers).map((worker) => {
          const done = answer<WorkerTimes>(worker);
          worker.postMessage(order);
          return done;
        }),
      );
      const started = Math.min(...times.map(({ startedMs }) => startedMs));
      const ended = Math.max(...times.map(({ endedMs }) => endedMs));
      return {
        gibPerSecond: gibPerSecond(size, (ended - started) / 1000),
        minorFaults: times.reduce((sum, { minorFaults }) => sum + minorFaults, 0),
        majorFaults: times.reduce((sum, { majorFaults }) => sum + majorFaults, 0),
      };
    } finally {
      for (const arena of arenas) returnArena(arena);
      await handle.close();
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

function answer<T>(worker: Worker): Promise<T> {
  return new Promise((resolve, reject) => {
    worker.once("error", reject);
    worker.once("message", (message: T) => {
      worker.off("error", reject);
      resolve(message);
    });
  });
}
