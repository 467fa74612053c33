import { abortWith } from "../abortable.ts";
import { asPrefaultError } from "../errors.ts";
import { FileSet } from "../file/file-set.ts";
import { fillBeside } from "../keep/fill-beside.ts";
import { mapFilled } from "../keep/map-filled.ts";
import { disabledReason } from "../kill-switch.ts";
import type { Tensor } from "../model/model.ts";
import { openModel } from "../model/open-model.ts";
import { type PrefaultOptions, resolveOptions } from "../options.ts";
import { type ModelPlan, placementOfNodeLlamaCpp, planPass } from "../passes/index.ts";
import type { NodeLlamaCppModel } from "../passes/llama/node-llama-cpp.ts";
import { residency } from "../residency/residency.ts";
import { isPartial } from "../run/arrange.ts";
import { openTarget, prefault, reporting } from "../run/prefault.ts";
import { emptyReport, logLine, type PrefaultReport } from "../run/report.ts";
import type { Target } from "../target/target.ts";
import { gibPerSecond } from "../units.ts";

/** What is to be loaded, as far as a sweep is concerned. */
export interface SweepSubject extends NodeLlamaCppModel {
  readonly modelPath: string;
  readonly vocabOnly?: boolean | undefined;
}

export interface SweepOptions extends PrefaultOptions {
  readonly label: string;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** The load was done before the sweep. */
const LOADED = new Error("the load was done first");

/** Less than this missing may be what the system has taken for something else meanwhile. */
const RESIDENT = 0.98;

/** A sweep beside a load. Neither promise rejects. */
export interface SweepBeside {
  /**
   * Whether a part of the model is filled when the load is done, because not all of it fits: the first token
   * gains only if it waits for that.
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

  const expected = await planFor(subject, () => openModel(modelPath));
  if (expected instanceof Error) {
    return report(await reporting(how, () => Promise.reject(expected)));
  }
  const isAfterLoad = await isPart(expected ?? modelPath, how);
  decide(isAfterLoad);
  if (isAfterLoad) {
    // The load reads all of the model, and evicts what was filled before.
    const failure = await loading.then(
      () => undefined,
      (error: unknown) => AbortSignal.abort(error),
    );
    if (failure === undefined) return report(await fillPart(expected ?? modelPath, how));
    return report(await reporting({ ...how, signal: failure }, async () => []));
  }
  const first = await sweepUntilLoaded(expected ?? modelPath, loading, how);
  report(first);

  const loaded = describedBy(await loading.catch(() => undefined));
  if (how.signal.aborted || first.error !== undefined || loaded.useMmap === false) return;
  if (first.ran && expected === undefined) return;
  const actual = await planFor(loaded, async () => expected?.model ?? openModel(modelPath));
  if (actual === undefined || actual instanceof Error) return;
  const left = first.ran ? without(actual, expected) : actual;
  if (left.runs.length > 0) report(await prefault(left, how));
}

/** Whether a part of the target is to be filled. What goes wrong here goes wrong in the sweep as well. */
async function isPart(target: Target, how: SweepOptions): Promise<boolean> {
  const files = new FileSet();
  try {
    return isPartial(await openTarget(target, resolveOptions(how), files));
  } catch {
    return false;
  } finally {
    await files.close();
  }
}

/** Fills what fits of a model that this process has loaded, and maps it where the engine did. */
function fillPart(target: Target, how: SweepOptions): Promise<PrefaultReport> {
  return reporting(how, async (options) => {
    const task = { target, options, reader: process.pid };
    const { reports, runs } = await fillBeside(task, how.log);
    // Without this the engine takes the faults itself.
    await mapFilled(runs, options).catch(() => {});
    return reports;
  });
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
  if (!isCopied && (residentBytes ?? 0) < RESIDENT * bytes) return prefault(target, how);

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

function whyNot({ vocabOnly, useDirectIo }: SweepSubject): string | undefined {
  if (vocabOnly === true) return "vocabOnly loads no weights";
  if (useDirectIo === true) return "useDirectIo goes past the page cache";
  return undefined;
}

/** `undefined` while node-llama-cpp has not decided. */
async function planFor(
  subject: NodeLlamaCppModel,
  model: () => Promise<ModelPlan["model"]>,
): Promise<ModelPlan | undefined | Error> {
  try {
    const placement = placementOfNodeLlamaCpp(subject);
    return placement.known ? planPass(await model(), placement.placement) : undefined;
  } catch (error) {
    return asPrefaultError(error);
  }
}

/** What of a plan was not part of the one before. */
function without(actual: ModelPlan, expected: ModelPlan | undefined): ModelPlan {
  const key = ({ file, offset }: Tensor) => `${file}:${offset}`;
  const planned = expected?.runs.flatMap((run) => run.regions) ?? [];
  const swept = new Set(planned.map(({ tensor }) => key(tensor)));
  const runs = actual.runs.map((run) => ({
    ...run,
    regions: run.regions.filter(({ tensor }) => !swept.has(key(tensor))),
  }));
  return { ...actual, runs: runs.filter(({ regions }) => regions.length > 0) };
}

/** The options that a loaded model shows; none when it is something else. */
function describedBy(loaded: unknown): NodeLlamaCppModel {
  return typeof loaded === "object" && loaded !== null ? (loaded as NodeLlamaCppModel) : {};
}
