import { asPrefaultError } from "../errors.ts";
import { disabledReason } from "../kill-switch.ts";
import type { FailedPath } from "../model/open-models.ts";
import type { PrefaultOptions } from "../options.ts";
import { prefault } from "../run/prefault.ts";
import {
  combineReports,
  emptyReport,
  logLine,
  type PrefaultReport,
  unopenedReport,
} from "../run/report.ts";
import type { Target } from "../target/target.ts";
import { formatBytes, sumKnown } from "../units.ts";
import { budgetOptions } from "./budget.ts";
import type { Flags } from "./flags.ts";
import { requireOperands } from "./operands.ts";
import { hasPlacement, type PlacementFlags } from "./placement-flags.ts";
import { planOperands } from "./plan-operands.ts";
import { type ProgressBar, progressBar } from "./progress.ts";
import type { Result } from "./result.ts";
import { percent, printable, UNTOLD } from "./text.ts";

/** `prefault warm`: makes what stays on the CPU resident. */
export async function warm(
  files: readonly string[],
  flags: Flags & PlacementFlags,
  signal: AbortSignal,
): Promise<Result> {
  const operands = requireOperands(files, flags);
  const bar = await progressBar(flags);
  const report = await sweep(operands, flags, signal, bar).catch((thrown: unknown) => {
    const error = asPrefaultError(thrown);
    return { ...emptyReport("prefault", `failed: ${error.message}`), error };
  });
  bar?.stop();
  if (!flags.quiet) logRuns(report);
  const text = () => (flags.quiet ? "" : residencyLine(report));
  const failures = report.failures.filter(({ byteLength }) => byteLength === 0);
  return {
    document: report,
    text,
    error: report.error,
    failures,
    notes: flags.quiet ? [] : report.notes,
  };
}

async function sweep(
  operands: readonly string[],
  flags: Flags & PlacementFlags,
  signal: AbortSignal,
  bar: ProgressBar | undefined,
): Promise<PrefaultReport> {
  if (flags.after !== undefined && disabledReason() === undefined) {
    const { waitForUrl } = await import("../server/health.ts");
    await waitForUrl(new URL(flags.after), signal);
  }
  const options: PrefaultOptions = {
    gate: flags.gate,
    workers: flags.workers,
    strategy: flags.strategy,
    signal,
    onProgress: bar?.update,
    ...(await budgetOptions(flags)),
    // Said once everything is over, so that the bar is out of the way and an error is said once.
    log: () => {},
  };
  const reports: PrefaultReport[] = [];
  const { targets, failures, notes } = await targetsOf(operands, flags, signal);
  for (const target of targets) {
    const report = await prefault(target, options);
    bar?.stop();
    reports.push(...(report.runs ?? [report]));
    if (report.error !== undefined && ENDS_ALL.has(report.error.code)) break;
  }
  if (failures.length > 0) reports.push(unopenedReport("prefault", failures));
  const report = combineReports(reports);
  return { ...report, notes: [...notes, ...report.notes] };
}

/** What the next model would run into as well. */
const ENDS_ALL: ReadonlySet<string> = new Set(["PREFAULT_ABORTED", "PREFAULT_OUT_OF_MEMORY"]);

interface Targets {
  readonly targets: readonly Target[];
  readonly failures: readonly FailedPath[];
  readonly notes: readonly string[];
}

async function targetsOf(
  operands: readonly string[],
  flags: Flags & PlacementFlags,
  signal: AbortSignal,
): Promise<Targets> {
  // Disabled means that not even a header is read, and to plan is to read it.
  if (!hasPlacement(flags) || disabledReason() !== undefined) {
    return { targets: [operands], failures: [], notes: [] };
  }
  const { plans, failures, notes } = await planOperands(operands, flags, signal);
  // Several models share one budget.
  const isShared = flags.budget !== undefined || flags.profile !== undefined;
  return { targets: isShared && plans.length > 0 ? [plans] : plans, failures, notes };
}

/** What became of each run, in the form of the log. */
export function logRuns(report: PrefaultReport): void {
  for (const run of report.runs ?? [report]) {
    // A failure is said once, as an error.
    const line = run.error === undefined ? logLine(run) : undefined;
    if (line !== undefined) process.stderr.write(`${printable(line)}\n`);
  }
}

/** The proof: what the page cache held before, and what it holds now. */
export function residencyLine(report: PrefaultReport): string {
  const swept = (report.runs ?? [report]).filter((run) => run.ran && run.error === undefined);
  if (swept.length === 0) return "";
  const bytes = swept.reduce((sum, run) => sum + run.bytes, 0);
  const resident = (of: (run: PrefaultReport) => number | null) =>
    sumKnown(swept.map((run) => capped(of(run), run.bytes)));
  const before = resident((run) => run.residentBytesBefore);
  const after = resident((run) => run.residentBytesAfter);
  if (after === null) {
    return `${formatBytes(bytes)} read; ${UNTOLD}`;
  }
  const earlier = before === null ? "" : `${percent(before, bytes)} before, `;
  return `resident: ${earlier}${percent(after, bytes)} of ${formatBytes(bytes)} now`;
}

/** Residency is counted in whole pages: a little more than there are bytes. */
function capped(count: number | null, bytes: number): number | null {
  return count === null ? null : Math.min(count, bytes);
}
