import { loadShim, type Shim } from "../../shims/index.ts";
import type { GateAnswer } from "../gate.ts";
import type { ResolvedOptions } from "../options.ts";
import type { Run } from "../target/run.ts";
import { fill, type SweepManner } from "./fill.ts";
import { askGate } from "./gate.ts";
import { emptyReport, failedReport, type PrefaultReport } from "./report.ts";
import { type Measured, openSubject, residencyOf, type Subject } from "./subject.ts";

/** What became of a run. */
export interface Execution {
  readonly report: PrefaultReport;
  /**
   * Fulfilled when no worker uses the run's files and memory any more. That is later than the report
   * only after an abort, on a device that does not answer.
   */
  readonly released: Promise<void>;
}

/**
 * What is resident of a run that others are filled before: they may bring some of its pages with their own,
 * which was not there before.
 *
 * @returns nothing where that cannot be found out; the run then fails by itself
 */
export async function measureRun(
  run: Run,
  { signal }: ResolvedOptions,
): Promise<Measured | undefined> {
  if (run.kind === "files" && run.skipped !== undefined) return undefined;
  let subject: Subject | undefined;
  try {
    subject = await openSubject(run, await loadShim(), signal);
    return await subject.measure(signal);
  } catch {
    return undefined;
  } finally {
    await subject?.close().catch(() => {});
  }
}

/**
 * The way of the data from a run to its report: open and measure, gate, fill, measure again. Never
 * rejects: a run that fails reports what was known of it by then.
 *
 * @param first what of it was resident before the first run of its target, if that was not this one
 */
export async function executeRun(
  run: Run,
  options: ResolvedOptions,
  manner?: SweepManner,
  first?: Measured,
): Promise<Execution> {
  let report: PrefaultReport = { ...emptyReport(labelOf(options, run), ""), ...choiceOf(run) };
  let subject: Subject | undefined;
  let sweep: { readonly released: Promise<void>; readonly stuck: boolean } | undefined;
  try {
    const shim = await loadShim();
    subject = await openSubject(run, shim, options.signal);
    const { bytes, regions } = subject;
    report = { ...report, bytes, regions };
    const before = first ?? (await subject.measure(options.signal));
    const answer = ask(run, { bytes, residentBytes: before.total ?? 0 }, options, shim);
    report = { ...report, reason: answer.reason, ...residencyOf(subject, before, before) };
    if (answer.run) {
      for await (const step of fill(subject, before, options, manner)) {
        sweep = step.sweep;
        report = { ...report, ...step.report };
      }
    }
  } catch (thrown) {
    report = failedReport(report, thrown);
  }
  // A worker that hangs on its device still uses the files: they are closed when it is back. What was
  // read is reported, whatever closing a file says.
  const released = (sweep?.released ?? Promise.resolve())
    .then(() => subject?.close())
    .catch(() => {});
  if (sweep?.stuck !== true) await released;
  return { report, released };
}

function ask(
  run: Run,
  subject: { readonly bytes: number; readonly residentBytes: number },
  options: ResolvedOptions,
  shim: Shim,
): GateAnswer {
  if (run.kind !== "files") return askGate({ ...subject, gate: undefined }, options, shim);
  if (run.skipped !== undefined) return { run: false, reason: run.skipped };
  return askGate({ ...subject, gate: run.gate }, options, shim);
}

/** What a report says of a run of a model: its name, and what of it was chosen. */
function choiceOf(run: Run): Partial<PrefaultReport> {
  if (run.kind !== "files" || run.name === undefined) return {};
  return { name: run.name, ...run.choice };
}

/** The caller's label, else the run's own. */
export function labelOf(options: { readonly label?: string | undefined }, run?: Run): string {
  const own = run?.kind === "files" ? run.label : undefined;
  return options.label ?? own ?? "prefault";
}
