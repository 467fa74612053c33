/**
 * A worker thread of the pool bench: the product's kernels and shim, with every setting open that the product
 * has decided. Threads stay for all runs, so that no run includes the time to start them.
 */
import { parentPort } from "node:worker_threads";
import { loadShim, type Shim } from "../../shims/index.ts";
import { ARENA_BYTES } from "../../src/arena/layout.ts";
import { SweepControl } from "../../src/control/sweep-control.ts";
import { bindKernels } from "../../src/kernels/kernels.ts";
import { RangeTable } from "../../src/plan/range-table.ts";

/** What is varied. Bytes. */
export interface WorkerSettings {
  readonly mode: "populate" | "touch" | "both";
  /** Most that is populated or touched in one go. */
  readonly batchBytes: number;
  /** Size of each `WILLNEED` over a chunk before it is filled; 0 for none. */
  readonly hintBytes: number;
  /** Whether a chunk is filled under random access, where the kernel reads folio by folio. */
  readonly random: boolean;
  /** When a worker drops the page tables of what it filled. */
  readonly zapPageTables: "chunk" | "never";
}

export interface WorkerOrder extends WorkerSettings {
  readonly control: SharedArrayBuffer;
  readonly chunks: SharedArrayBuffer;
  readonly arenas: readonly { memory: WebAssembly.Memory; base: bigint; alignOffset: number }[];
}

export interface WorkerTimes {
  readonly startedMs: number;
  readonly endedMs: number;
  readonly minorFaults: number;
  readonly majorFaults: number;
}

const shim = await loadShim();
parentPort?.on("message", (order: WorkerOrder) => parentPort?.postMessage(run(order, shim)));
parentPort?.postMessage("ready");

function run(order: WorkerOrder, shim: Shim): WorkerTimes {
  const kernels = order.arenas.map(({ memory }) => bindKernels(memory));
  const control = new SweepControl(order.control);
  const chunks = new RangeTable(order.chunks);
  const startedMs = performance.timeOrigin + performance.now();
  const before = shim.faults();
  for (let at = control.takeChunk(); at < chunks.length; at = control.takeChunk()) {
    const { offset, byteLength } = chunks.at(at);
    const index = Math.floor(offset / ARENA_BYTES);
    const arena = order.arenas[index];
    if (arena === undefined) throw new RangeError(`no arena ${index}`);
    const linear = (offset % ARENA_BYTES) + arena.alignOffset;
    const address = arena.base + BigInt(linear);
    const inSteps = (stepBytes: number, each: (done: number, bytes: number) => void) => {
      for (let done = 0; done < byteLength; done += stepBytes) {
        each(done, Math.min(stepBytes, byteLength - done));
      }
    };
    if (order.hintBytes > 0) {
      inSteps(order.hintBytes, (done, bytes) => {
        shim.advise(address + BigInt(done), bytes, "will-need");
      });
    }
    if (order.random) shim.advise(address, byteLength, "random");
    inSteps(order.batchBytes, (done, bytes) => {
      if (order.mode !== "touch") shim.populate(address + BigInt(done), bytes);
      if (order.mode !== "populate")
        kernels[index]?.touch_pages(linear + done, bytes, shim.pageBytes);
    });
    if (order.zapPageTables === "chunk") shim.zapPageTables(address, byteLength);
  }
  const after = shim.faults();
  return {
    startedMs,
    endedMs: performance.timeOrigin + performance.now(),
    minorFaults: after.minor - before.minor,
    majorFaults: after.major - before.major,
  };
}
