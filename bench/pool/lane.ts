/**
 * A lane of the pool bench: the product's kernels and shim, with everything the product has settled
 * on left open. Threads stay for all runs, so that no run pays for starting them.
 */
import { parentPort } from "node:worker_threads";
import { loadShim, type Shim } from "../../shims/index.ts";
import { ARENA_BYTES } from "../../src/arena/layout.ts";
import { SweepControl } from "../../src/control/sweep-control.ts";
import { bindKernels } from "../../src/kernels/kernels.ts";
import { RangeTable } from "../../src/plan/range-table.ts";

/** What is varied. Bytes. */
export interface LaneSettings {
  readonly mode: "populate" | "touch" | "both";
  /** Most that is populated or touched in one go. */
  readonly windowBytes: number;
  /** Size of each `WILLNEED` over a chunk before it is filled; 0 for none. */
  readonly hintBytes: number;
  /** Whether a chunk is filled under random access, where the kernel reads folio by folio. */
  readonly random: boolean;
  /** When a lane drops the page tables of what it filled. */
  readonly dropTables: "chunk" | "never";
}

export interface LaneOrder extends LaneSettings {
  readonly control: SharedArrayBuffer;
  readonly chunks: SharedArrayBuffer;
  readonly arenas: readonly { memory: WebAssembly.Memory; base: bigint; alignOffset: number }[];
}

export interface LaneTimes {
  readonly startedMs: number;
  readonly endedMs: number;
  readonly minorFaults: number;
  readonly majorFaults: number;
}

const shim = await loadShim();
parentPort?.on("message", (order: LaneOrder) => parentPort?.postMessage(run(order, shim)));
parentPort?.postMessage("ready");

function run(order: LaneOrder, shim: Shim): LaneTimes {
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
    const inPieces = (pieceBytes: number, each: (done: number, bytes: number) => void) => {
      for (let done = 0; done < byteLength; done += pieceBytes) {
        each(done, Math.min(pieceBytes, byteLength - done));
      }
    };
    if (order.hintBytes > 0) {
      inPieces(order.hintBytes, (done, bytes) => {
        shim.advise(address + BigInt(done), bytes, "will-need");
      });
    }
    if (order.random) shim.advise(address, byteLength, "random");
    inPieces(order.windowBytes, (done, bytes) => {
      if (order.mode !== "touch") shim.populate(address + BigInt(done), bytes);
      if (order.mode !== "populate")
        kernels[index]?.touch_pages(linear + done, bytes, shim.pageBytes);
    });
    if (order.dropTables === "chunk") shim.zapPageTables(address, byteLength);
  }
  const after = shim.faults();
  return {
    startedMs,
    endedMs: performance.timeOrigin + performance.now(),
    minorFaults: after.minor - before.minor,
    majorFaults: after.major - before.major,
  };
}
