import { loadShim } from "../../shims/index.ts";
import { abandon, abortable, closed } from "../abortable.ts";
import { LoadWatch } from "../beside/load-watch.ts";
import { abortError } from "../errors.ts";
import { FileSet } from "../file/file-set.ts";
import { disabledReason } from "../kill-switch.ts";
import { logOf, type PrefaultOptions, type ResolvedOptions, resolveOptions } from "../options.ts";
import { fileRegions, resolveTarget, type Target } from "../target/target.ts";
import { type ArrangedTarget, arrange } from "./arrange.ts";
import { executeRun, labelOf, measureRun } from "./execute.ts";
import type { SweepManner } from "./fill.ts";
import {
  combineReports,
  emptyReport,
  failedReport,
  firstError,
  logLine,
  type PrefaultReport,
  unopenedReport,
} from "./report.ts";

/**
 * Makes a target resident before it is first used, when that fits the machine, and reports what it
 * did.
 *
 * Never rejects by default: what goes wrong is in the report's `error`, and a model load beside it
 * goes on. With `onError: "throw"` it rejects instead.
 *
 * @param target a path or several (a file, or a directory with models in it), an open model, what a
 *   pass planned for one or for several, or regions of files
 * @throws {@link PrefaultError} of any code, with `onError: "throw"` only
 */
export async function prefault(
  target: Target,
  options: PrefaultOptions = {},
): Promise<PrefaultReport> {
  return reporting(options, async (resolved) => {
    const files = new FileSet();
    const opened = await openTarget(target, resolved, files);
    const turns = new LoadWatch(fileRegions(opened.runs).map(({ path }) => path));
    try {
      const manners = opened.runs.map((run) => (run.kind === "files" ? { turns } : {}));
      return await executeTarget(opened, resolved, files, manners);
    } finally {
      turns.stop();
    }
  });
}

/**
 * Turns what goes wrong into a report, unless it was asked to be thrown, and writes the log.
 *
 * @throws {@link PrefaultError} of any code, with `onError: "throw"` only
 */
export async function reporting(
  options: PrefaultOptions,
  execute: (resolved: ResolvedOptions) => Promise<PrefaultReport[]>,
): Promise<PrefaultReport> {
  const reports = await settle(options, execute);
  const error = firstError(reports);
  if (error !== undefined && options?.onError === "throw") throw error;
  const log = guardedLog(options);
  for (const line of reports.map(logLine)) if (line !== undefined) log(line);
  return combineReports(reports);
}

/** Never rejects. */
async function settle(
  options: PrefaultOptions,
  execute: (resolved: ResolvedOptions) => Promise<PrefaultReport[]>,
): Promise<PrefaultReport[]> {
  let label = labelOf({});
  try {
    const resolved = resolveOptions(options);
    label = labelOf(resolved);
    // Disabled means that nothing is looked at either: a header that is read is resident afterwards.
    const disabled = disabledReason(resolved.killSwitch);
    if (disabled !== undefined) return [emptyReport(label, disabled)];
    if (resolved.signal?.aborted) throw abortError(resolved.signal);
    return await execute(resolved);
  } catch (thrown) {
    return [failedReport(emptyReport(label, ""), thrown)];
  }
}

/** The caller's log, also when another option cannot be; stderr when the log itself cannot be. */
function guardedLog(options: PrefaultOptions): (line: string) => void {
  try {
    return logOf(options);
  } catch {
    return logOf({});
  }
}

/**
 * Reads a target and fits it to the machine. The files of its models stay open in the set, to be filled
 * through the same handles.
 */
export async function openTarget(
  target: Target,
  options: ResolvedOptions,
  files: FileSet,
): Promise<ArrangedTarget> {
  const { signal } = options;
  try {
    const resolved = await abortable(signal, resolveTarget(target, { signal, files }));
    return await abortable(signal, arrange(resolved, options, await loadShim()));
  } catch (error) {
    void abandon(files.close());
    throw error;
  }
}

/**
 * One report for each run of the target. A run that fails keeps what those before it did. Never rejects.
 *
 * @param files closed when the last run has released them
 * @param manners by run
 */
export async function executeTarget(
  { runs, failures, notes, budgetBytes }: ArrangedTarget,
  options: ResolvedOptions,
  files: FileSet,
  manners?: readonly SweepManner[],
): Promise<PrefaultReport[]> {
  const reports: PrefaultReport[] = [];
  const releases: Promise<void>[] = [];
  const [, ...later] = runs;
  const first = [undefined, ...(await Promise.all(later.map((run) => measureRun(run, options))))];
  for (const [index, run] of runs.entries()) {
    const { report, released } = await executeRun(run, options, manners?.[index], first[index]);
    manners?.[index]?.order?.onEnd();
    reports.push(report);
    releases.push(released);
    const isAborted = report.error?.code === "PREFAULT_ABORTED";
    if (isAborted || (report.error !== undefined && options.onError !== "continue")) break;
  }
  const closing = Promise.all(releases).then(() => files.close());
  // After an abort a worker may still wait for its device.
  await closed(options.signal, closing);
  if (failures.length > 0) reports.push(unopenedReport(labelOf(options), failures));
  return reports.map((report, index) => ({
    ...report,
    ...(index === 0 && { notes: [...notes, ...report.notes] }),
    ...(budgetBytes !== null && { budgetBytes }),
  }));
}
