import { executeAddresses } from "./address/address-run.ts";
import { abortError } from "./errors.ts";
import { disabledReason } from "./kill-switch.ts";
import { orAbort } from "./left-behind.ts";
import { logOf, type PrefaultOptions, type ResolvedOptions, resolveOptions } from "./options.ts";
import {
  combineReports,
  emptyReport,
  logLine,
  type PrefaultReport,
  unopenedReport,
} from "./report.ts";
import { executeRun, type Follower, failedReport, labelOf } from "./run.ts";
import { type ResolvedTarget, resolveTarget, type Target } from "./target.ts";

/**
 * Makes a target resident before it is first used, when that fits the machine, and reports what it
 * did.
 *
 * Never rejects by default: what goes wrong is in the report's `error`, and a model load beside it
 * goes on. With `onError: "throw"` it rejects instead.
 *
 * @param target a path or several (a file, or a directory with models in it), an open model, what a
 *   pass planned for one, or regions of files
 * @throws {@link PrefaultError} of any code, with `onError: "throw"` only
 */
export async function prefault(
  target: Target,
  options: PrefaultOptions = {},
): Promise<PrefaultReport> {
  return prefaultFollowed(target, options, () => undefined);
}

/** Told what a target turned out to be, before anything is filled; may follow each of its runs. */
export type Introduce = (target: ResolvedTarget) => readonly Follower[] | undefined;

/** {@link prefault}, for someone who waits for parts of it. */
export async function prefaultFollowed(
  target: Target,
  options: PrefaultOptions,
  introduce: Introduce,
): Promise<PrefaultReport> {
  return inert(options, (resolved) => executeRuns(target, resolved, introduce));
}

/**
 * What makes a prefault inert: a failure becomes a report unless it was asked to be thrown, and the
 * log is told.
 */
export async function inert(
  options: PrefaultOptions,
  execute: (resolved: ResolvedOptions) => Promise<PrefaultReport[]>,
): Promise<PrefaultReport> {
  const reports = await settle(options, execute);
  const failed = reports.find((report) => report.error !== undefined);
  if (failed?.error !== undefined && options?.onError === "throw") throw failed.error;
  const log = harmlessLog(options);
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
function harmlessLog(options: PrefaultOptions): (line: string) => void {
  try {
    return logOf(options);
  } catch {
    return logOf({});
  }
}

/** One report for each run of the target. A run that fails keeps what those before it did. */
async function executeRuns(
  target: Target,
  options: ResolvedOptions,
  introduce: Introduce,
): Promise<PrefaultReport[]> {
  const { signal } = options;
  const resolved = await orAbort(signal, resolveTarget(target, { signal }));
  const followers = introduce(resolved);
  const reports: PrefaultReport[] = [];
  for (const [index, run] of resolved.runs.entries()) {
    const report = run.addresses
      ? await executeAddresses(run.addresses, options)
      : await executeRun(run, options, followers?.[index]);
    reports.push(report);
    const isAborted = report.error?.code === "PREFAULT_ABORTED";
    if (isAborted || (report.error !== undefined && options.onError !== "continue")) break;
  }
  const { failures, notes } = resolved;
  if (failures.length > 0) reports.push(unopenedReport(labelOf(options), failures));
  return reports.map((report, index) => (index === 0 ? { ...report, notes } : report));
}
