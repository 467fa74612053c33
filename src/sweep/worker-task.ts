import { CONTROL_BYTES } from "../control/arena-control.ts";
import { wantsFolioFaults } from "../fill/folio-faults.ts";
import { hintBytes } from "../fill/read-ahead.ts";
import type { SweepJob } from "./job.ts";
import type { WorkerTask } from "./protocol.ts";

/** Makes the task that every worker of a sweep gets. */
export function workerTask(job: SweepJob): WorkerTask {
  const arenas = job.mapping?.arenas ?? [];
  return {
    control: new SharedArrayBuffer(CONTROL_BYTES),
    chunks: job.chunks.buffer,
    done: job.done.buffer,
    arenas: arenas.map(({ memory, base, alignOffset }) => ({ memory, base, alignOffset })),
    views: job.mapping?.views?.addresses ?? [],
    extents: job.extents,
    files: job.files,
    strategy: job.strategy,
    folioFaults: job.files.map((file) => job.strategy !== "read" && wantsFolioFaults(file)),
    hintBytes: Math.min(...job.files.map(({ facts }) => hintBytes(facts))),
    keepPageTables: job.mapping?.keepPageTables ?? false,
    keepGoing: job.keepGoing,
    turns: job.turns?.buffer ?? null,
    reserve: job.reserve,
  };
}
