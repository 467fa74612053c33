import { asPrefaultError, PrefaultError } from "../errors.ts";
import type { ExpertCounts } from "../experts/plan-experts.ts";
import type { FailureReport } from "../fill/failure.ts";
import type { FillStrategy } from "../fill/fill-task.ts";
import { NO_BYTES } from "../gate.ts";
import type { FailedPath } from "../model/open-models.ts";
import type { RunName } from "../passes/index.ts";
import type { SweepResult } from "../sweep/sweep-result.ts";
import { unopened } from "../target/failure-report.ts";
import { gib, gibPerSecond, sumKnown } from "../units.ts";

/** What one file had to do with it. */
export interface FileReport {
  readonly path: string;
  /** Bytes of it that were to be made resident, each counted once. */
  readonly bytes: number;
  /** Bytes of those in the page cache, in whole pages; `null` when the system will not say. */
  readonly residentBytesBefore: number | null;
  readonly residentBytesAfter: number | null;
}

/** What a prefault did, or why it did nothing. */
export interface PrefaultReport {
  readonly label: string;
  /** Which run of a model it is: what every token reads, or its routed experts. */
  readonly name?: RunName;
  readonly ran: boolean;
  /** The gate's, or what went wrong. */
  readonly reason: string;
  /** How pages were filled; `null` when nothing ran. */
  readonly strategy: FillStrategy | null;
  /** Why that way; `null` when nothing ran. */
  readonly strategyReason: string | null;
  /** Bytes to be made resident, each counted once, also when the gate skipped them. */
  readonly bytes: number;
  /** Ranges of whole pages these bytes make, after merging. */
  readonly regions: number;
  readonly chunks: number;
  /** Threads that filled. */
  readonly workers: number;
  /** From the first thread's start to the last one's end. */
  readonly seconds: number;
  readonly gibPerSecond: number;
  /**
   * Bytes of the regions in the page cache, in whole pages, before the first run of the target and after this one;
   * `null` when the system will not say.
   */
  readonly residentBytesBefore: number | null;
  readonly residentBytesAfter: number | null;
  /** Page faults of the filling threads. */
  readonly minorFaults: number;
  readonly majorFaults: number;
  /**
   * Whether the page cache holds the bytes in large folios, so that one fault of the next mapping
   * maps 2 MiB; `null` when it was not found out.
   */
  readonly largeFolios: boolean | null;
  /** Bytes filled but not touched, because their file could not be held still (see the docs). */
  readonly untouchedBytes: number;
  readonly files: readonly FileReport[];
  /** Ranges that could not be filled, and files that could not be opened beside others that could. */
  readonly failures: readonly FailureReport[];
  /** What a person should know about the target, one sentence each. */
  readonly notes: readonly string[];
  /** Bytes that might become resident, with a budget; in the report of the whole. */
  readonly budgetBytes?: number;
  /** Bytes of the run that were chosen within the budget. */
  readonly plannedBytes?: number;
  /** Bytes of the run for which the budget had no room. */
  readonly leftOutBytes?: number;
  /** Routed experts: how many there are, how many were chosen, and what share of uses they cover. */
  readonly experts?: ExpertCounts;
  /** What went wrong, when something did and it was not thrown. */
  readonly error?: PrefaultError;
  /** Each run on its own, when the target was a plan of several; this report sums them up. */
  readonly runs?: readonly PrefaultReport[];
}

/** A report of nothing done; the rest is filled in by whoever knows it. */
export function emptyReport(label: string, reason: string): PrefaultReport {
  return {
    label,
    ran: false,
    reason,
    strategy: null,
    strategyReason: null,
    bytes: 0,
    regions: 0,
    chunks: 0,
    workers: 0,
    seconds: 0,
    gibPerSecond: 0,
    residentBytesBefore: null,
    residentBytesAfter: null,
    minorFaults: 0,
    majorFaults: 0,
    largeFolios: null,
    untouchedBytes: 0,
    files: [],
    failures: [],
    notes: [],
  };
}

/** A report of a run that failed, with what was known of it by then. */
export function failedReport(known: PrefaultReport, thrown: unknown): PrefaultReport {
  const error = asPrefaultError(thrown);
  return { ...known, reason: `failed: ${error.message}`, error };
}

/** What a sweep did, as reports show it. */
export function outcome(bytes: number, result: SweepResult) {
  const { residentBytes: _, ...known } = result;
  const rate = { gibPerSecond: gibPerSecond(bytes, result.seconds) };
  const [first] = result.failures;
  if (first === undefined) return { ...known, ...rate };
  const error = new PrefaultError(first.code, first.message, first);
  return { ...known, ...rate, reason: `failed: ${error.message}`, error };
}

/** A report of paths that could not be opened, beside the runs of those that could. */
export function unopenedReport(label: string, failed: readonly FailedPath[]): PrefaultReport {
  const [first] = failed;
  return {
    ...emptyReport(label, `failed: ${first?.error.message}`),
    // Nothing of them is known to be resident, and they must not make the whole unknown.
    residentBytesBefore: 0,
    residentBytesAfter: 0,
    failures: failed.map(unopened),
    ...(first && { error: first.error }),
  };
}

/** Sums runs up in one report. A single run is its own sum. */
export function combineReports(runs: readonly PrefaultReport[]): PrefaultReport {
  const [first] = runs;
  if (first === undefined) throw new RangeError("no run to report");
  if (runs.length === 1) return first.name === undefined ? first : { ...first, runs };
  const sum = (of: (run: PrefaultReport) => number) =>
    runs.reduce((total, run) => total + of(run), 0);
  const ran = runs.filter((run) => run.ran);
  const leading = ran[0] ?? first;
  const seconds = sum((run) => run.seconds);
  const sweptBytes = ran.reduce((total, run) => total + run.bytes, 0);
  const error = firstError(runs);
  return {
    ...withoutChoice(leading),
    label: first.label,
    ran: ran.length > 0,
    reason: [...new Set(runs.map((run) => run.reason))].join("; "),
    bytes: sum((run) => run.bytes),
    regions: sum((run) => run.regions),
    chunks: sum((run) => run.chunks),
    workers: Math.max(...runs.map((run) => run.workers)),
    seconds,
    gibPerSecond: gibPerSecond(sweptBytes, seconds),
    residentBytesBefore: sumKnown(runs.map((run) => run.residentBytesBefore)),
    residentBytesAfter: sumKnown(runs.map((run) => run.residentBytesAfter)),
    minorFaults: sum((run) => run.minorFaults),
    majorFaults: sum((run) => run.majorFaults),
    largeFolios: worst(ran.map((run) => run.largeFolios)),
    untouchedBytes: sum((run) => run.untouchedBytes),
    files: runs.flatMap((run) => run.files),
    failures: runs.flatMap((run) => run.failures),
    notes: [...new Set(runs.flatMap((run) => run.notes))],
    ...(error && { error }),
    runs,
  };
}

/** The error of the first run that has one. */
export function firstError(runs: readonly PrefaultReport[]): PrefaultError | undefined {
  return runs.find((run) => run.error !== undefined)?.error;
}

/** What a report says of its own run alone. */
function withoutChoice(report: PrefaultReport): PrefaultReport {
  const {
    name: _,
    plannedBytes: _planned,
    leftOutBytes: _left,
    experts: _experts,
    ...rest
  } = report;
  return rest;
}

/** Small folios anywhere make the next mapping slow there, whatever the other runs found. */
function worst(largeFolios: readonly (boolean | null)[]): boolean | null {
  if (largeFolios.includes(false)) return false;
  return largeFolios.includes(true) ? true : null;
}

/**
 * The line for the log; `undefined` when there was nothing to do, which is silent. In the form of
 * the reference: GiB with two decimals, seconds and GiB/s with one.
 */
export function logLine(report: PrefaultReport): string | undefined {
  const { label, ran, bytes, seconds, reason } = report;
  if (report.error !== undefined) return `[${label}] Pre-fault stopped: ${report.error.message}.`;
  if (reason === NO_BYTES) return undefined;
  if (!ran) return `[${label}] Pre-fault ${reason}.`;
  const rate = gibPerSecond(bytes, seconds).toFixed(1);
  return `[${label}] Pre-faulted ${gib(bytes)} of CPU-resident weights in ${seconds.toFixed(1)}s (${rate} GiB/s).`;
}
