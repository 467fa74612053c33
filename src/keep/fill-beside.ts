import { Turns } from "../beside/turns.ts";
import { FileSet } from "../file/file-set.ts";
import { makeRoom, type Room } from "../hold/room.ts";
import type { FailedPath } from "../model/open-models.ts";
import type { ResolvedOptions } from "../options.ts";
import { type ArrangedTarget, isPartial } from "../run/arrange.ts";
import { executeTarget, openTarget } from "../run/prefault.ts";
import type { PrefaultReport } from "../run/report.ts";
import { workersBesideEngine } from "../sweep/worker-count.ts";
import type { FilesRun, Run } from "../target/run.ts";
import { fileRegions, type Target } from "../target/target.ts";
import { formatBytes } from "../units.ts";
import { reopened } from "./fill-again.ts";
import { withoutUnranked } from "./unranked.ts";

/** What is filled, and for whom. */
export interface FillTask {
  readonly target: Target;
  /** Files that could not be opened, beside the target's. */
  readonly failures?: readonly FailedPath[];
  readonly options: ResolvedOptions;
  /** The process that has read the target, and whose pages are in the way; `null` when none has. */
  readonly reader: number | null;
  /** The process that reads the target now, from its start; `null` when none does. */
  readonly loader?: number | null;
}

export interface Filled {
  readonly reports: PrefaultReport[];
  /** The runs that are resident now, with their regions in the order of their use. */
  readonly runs: readonly FilesRun[];
  /** What the target may take; `null` without a budget. */
  readonly budgetBytes: number | null;
}

/**
 * Fills a target. Where an engine has read all of a model of which only a part fits, room is made first, and the
 * part is read twice. Linux takes memory first from pages that were read once (its inactive list): without the second
 * reading, what the engine reads next would evict the part, and where no room could be made, its end its beginning.
 *
 * @throws {@link PrefaultError} what opening and arranging the target throw, and `makeRoom`
 */
export async function fillBeside(
  { target, failures = [], options, reader, loader = null }: FillTask,
  log: (line: string) => void,
): Promise<Filled> {
  const files = new FileSet();
  const opened = await openTarget(target, options, files);
  const prepared = prepare(opened, { reader, options, files }, log);
  const { arranged, room } = await prepared.catch(async (error: unknown) => {
    await files.close();
    throw error;
  });
  const all = { ...arranged, failures: [...arranged.failures, ...failures] };
  const { budgetBytes } = arranged;
  const beside = loader === null || isPartial(arranged) ? null : await Turns.start(loader);
  const manner = beside === null ? {} : { turns: beside };
  const manners = arranged.runs.map(() => manner);
  const isUnseen = loader !== null && beside === null;
  const workers = options.workers ?? (isUnseen ? workersBesideEngine() : undefined);
  const first = await executeTarget(all, { ...options, workers }, files, manners);
  beside?.stop();
  const runs = filledRuns(arranged, first);
  if (room === null || runs.length === 0) return { reports: first, runs, budgetBytes };

  const again = new FileSet();
  const spent = { ...options, budget: budgetBytes ?? options.budget };
  const second = await executeTarget({ ...all, runs: reopened(all.runs, again) }, spent, again);
  const reports = second.map((report, index) => both(first[index], report));
  return { reports, runs: filledRuns(arranged, second), budgetBytes };
}

/** Where an engine has read the target: without experts that are as good as those that it read, and with room. */
async function prepare(
  opened: ArrangedTarget,
  { reader, options, files }: Pick<FillTask, "reader" | "options"> & { readonly files: FileSet },
  log: (line: string) => void,
): Promise<{ readonly arranged: ArrangedTarget; readonly room: Room | null }> {
  if (reader === null) return { arranged: opened, room: null };
  const arranged = await withoutUnranked(opened, options, files);
  if (!isPartial(arranged)) return { arranged, room: null };
  // What is skipped needs no room.
  const regions = fileRegions(arranged.runs.filter((run) => !isSkipped(run)));
  const room = await makeRoom(reader, regions, { files, signal: options.signal });
  log(roomLine(room));
  return { arranged, room };
}

function isSkipped(run: Run): boolean {
  return run.kind === "files" && run.skipped !== undefined;
}

function filledRuns({ runs }: ArrangedTarget, reports: readonly PrefaultReport[]): FilesRun[] {
  return runs.filter((run, index): run is FilesRun => {
    const report = reports[index];
    return run.kind === "files" && report?.ran === true && report.error === undefined;
  });
}

/** The report of a run that was filled twice. */
function both(first: PrefaultReport | undefined, again: PrefaultReport): PrefaultReport {
  if (first === undefined) return again;
  const { residentBytesBefore, seconds, notes } = first;
  return { ...again, residentBytesBefore, seconds: seconds + again.seconds, notes };
}

function roomLine({ by, wantedBytes, freedBytes, refusals }: Room): string {
  switch (by) {
    case "free memory":
      return `prefault: there is room for the ${formatBytes(wantedBytes)} that are missing`;
    case "page-out":
      return `prefault: ${formatBytes(freedBytes)} of the model that are not wanted were paged out`;
    case "memory.reclaim":
      return `prefault: the cgroup reclaimed ${formatBytes(freedBytes)}`;
    case "nothing": {
      const some = `room for ${formatBytes(freedBytes)} of ${formatBytes(wantedBytes)}`;
      const made = freedBytes > 0 ? some : "no room";
      const why = refusals.length > 0 ? ` (${refusals.join("; ")})` : "";
      return `prefault: ${made} could be made${why}, so that some of it is read from the disk twice`;
    }
  }
}
