import { stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { loadShim } from "../../shims/index.ts";
import { abortWith } from "../abortable.ts";
import { isLoadedSoon } from "../beside/fast-load.ts";
import { FileSet } from "../file/file-set.ts";
import { crowds } from "../hold/drop-elsewhere.ts";
import { fillBeside } from "../keep/fill-beside.ts";
import { disabledReason } from "../kill-switch.ts";
import { availableBytes } from "../memory/memory.ts";
import { hasShardName } from "../model/shard-name.ts";
import { resolveOptions } from "../options.ts";
import type { ModelPlan } from "../passes/index.ts";
import { residency } from "../residency/residency.ts";
import { isPartial } from "../run/arrange.ts";
import { openTarget, prefault, reporting } from "../run/prefault.ts";
import { emptyReport, logLine, type PrefaultReport } from "../run/report.ts";
import { workersBesideEngine } from "../sweep/worker-count.ts";
import type { Target } from "../target/target.ts";
import { gibPerSecond } from "../units.ts";
import {
  describedBy,
  planFor,
  planForLoaded,
  type SweepOptions,
  type SweepSubject,
  whyNot,
  without,
} from "./load-subject.ts";
import { sweepAfter } from "./sweep-after.ts";

/** The load was done before the sweep. */
const LOADED = new Error("the load was done first");

/** What is only to be reported waits for the first token, which wants every processor. */
const FIRST_TOKEN_MS = 500;

/** Less than this missing may be what the system has taken for something else meanwhile. */
const RESIDENT = 0.98;

/** A sweep beside a load. Neither promise rejects. */
export interface SweepBeside {
  /**
   * Whether it is filled when the load is done, because the load evicts what was filled before: of a model that
   * does not fit a part, and what stays on the CPU where what goes to the GPU takes its room. The first token gains
   * only if it waits for that.
   */
  readonly isAfterLoad: Promise<boolean>;
  readonly over: Promise<void>;
}

export function sweepBeside(
  subject: SweepSubject,
  loading: Promise<unknown>,
  report: (report: PrefaultReport) => void,
  how: SweepOptions,
): SweepBeside {
  let decide: (isAfterLoad: boolean) => void = () => {};
  const isAfterLoad = new Promise<boolean>((resolve) => {
    decide = resolve;
  });
  const over = sweep(subject, loading, report, how, decide).finally(() => decide(false));
  return { isAfterLoad, over };
}

/**
 * Sweeps while a model loads, and what the load turns out to need besides. Never rejects.
 *
 * The engine's first token wants every processor: its threads wait for one another by spinning, and
 * a worker among them costs it far more than the worker's own time (`npm run bench -- --scope beside`).
 * So a load that is done ends the sweep, unless something is still missing: where the engine maps a
 * file populated, as on Linux, nothing is.
 */
async function sweep(
  subject: SweepSubject,
  loading: Promise<unknown>,
  report: (report: PrefaultReport) => void,
  how: SweepOptions,
  decide: (isAfterLoad: boolean) => void,
): Promise<void> {
  const { modelPath } = subject;
  const why = whyNot(subject);
  // Disabled means that nothing is looked at: `reporting` says so itself.
  if (why !== undefined || disabledReason(how.killSwitch) !== undefined) {
    return report(await reporting(how, async () => [emptyReport(how.label, `skipped: ${why}`)]));
  }

  const size = await sizeIfItFits(subject, how);
  if (size !== null) {
    decide(false);
    if (await isLoadedSoon(size, loading, how.signal)) {
      await sleep(FIRST_TOKEN_MS, undefined, { signal: how.signal }).catch(() => {});
    }
  }
  const expected = await planFor(subject);
  if (expected instanceof Error) {
    return report(await reporting(how, () => Promise.reject(expected)));
  }
  const isAfterLoad = size === null && (await needsRoom(subject, expected, how));
  decide(isAfterLoad);
  if (isAfterLoad) return report(await sweepAfter(loading, subject, expected, afterLoad(how)));
  const first = await sweepUntilLoaded(expected ?? modelPath, loading, how);
  report(first);

  const loaded = describedBy(await loading.catch(() => undefined));
  if (how.signal.aborted || first.error !== undefined || loaded.useMmap === false) return;
  if (first.ran && expected === undefined) return;
  const actual = await planForLoaded(loaded, subject, expected);
  if (actual === undefined || actual instanceof Error) return;
  const left = first.ran ? without(actual, expected) : actual;
  if (left.runs.length > 0) report(await prefault(left, afterLoad(how)));
}

/** After the load worker threads fill, on half the processors: the first token wants the others. */
function afterLoad(how: SweepOptions): SweepOptions {
  return { ...how, workers: how.workers ?? workersBesideEngine() };
}

/**
 * Bytes of a model that surely fits: of a single file that takes less than half of the memory that can be had. `null` for
 * any other, which is to be looked at more closely.
 */
async function sizeIfItFits(
  { modelPath }: SweepSubject,
  { budget }: SweepOptions,
): Promise<number | null> {
  if (budget !== undefined || hasShardName(modelPath)) return null;
  const size = await stat(modelPath).then(
    (found) => found.size,
    () => null,
  );
  return size !== null && size < availableBytes(0) / 2 ? size : null;
}

/**
 * Whether the load, which reads all of the model, evicts what was filled before: a part of it is to be filled, or
 * what goes to the GPU takes the room of the rest. What goes wrong here goes wrong in the sweep as well.
 */
async function needsRoom(
  { modelPath, useMmap }: SweepSubject,
  expected: ModelPlan | undefined,
  how: SweepOptions,
): Promise<boolean> {
  const files = new FileSet();
  try {
    const opened = await openTarget(expected ?? modelPath, resolveOptions(how), files);
    if (isPartial(opened)) return true;
    // Of what is copied nothing is needed after the load.
    if (expected === undefined || useMmap === false) return false;
    return crowds([expected], await loadShim());
  } catch {
    return false;
  } finally {
    await files.close();
  }
}

/** Ends early when the load is done and nothing is missing any more. */
async function sweepUntilLoaded(
  target: Target,
  loading: Promise<unknown>,
  how: SweepOptions,
): Promise<PrefaultReport> {
  const { signal, log } = how;
  const either = new AbortController();
  const release = abortWith(either, signal);
  loading.then(
    () => either.abort(LOADED),
    () => {},
  );

  const lines: string[] = [];
  const started = performance.now();
  const options = { ...how, signal: either.signal, log: (line: string) => void lines.push(line) };
  const swept = await reporting(options, async (resolved) => {
    const task = { target, options: resolved, reader: null, loader: process.pid };
    return (await fillBeside(task, how.log)).reports;
  });
  const seconds = (performance.now() - started) / 1000;
  release();
  if (swept.error?.cause !== LOADED) {
    lines.forEach(log);
    return swept;
  }
  // A copy was made of it: nothing reads the file any more.
  const isCopied = describedBy(await loading).useMmap === false;
  // What goes wrong here goes wrong in the sweep as well, which reports it.
  const unknown = { bytes: 1, residentBytes: null };
  const { bytes, residentBytes } = await residency(target).catch(() => unknown);
  if (!isCopied && (residentBytes ?? 0) < RESIDENT * bytes) {
    return prefault(target, afterLoad(how));
  }

  const { error: _, ...rest } = swept;
  const report: PrefaultReport = {
    ...rest,
    ran: true,
    reason: LOADED.message,
    bytes,
    seconds,
    gibPerSecond: gibPerSecond(bytes, seconds),
    residentBytesAfter: residentBytes,
  };
  const line = logLine(report);
  if (line !== undefined) log(line);
  return report;
}
