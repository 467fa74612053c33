import { availableParallelism } from "node:os";
import { abortable } from "../abortable.ts";
import type { EngineTurns } from "../beside/turns.ts";
import { abortError } from "../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import { cutChunks } from "../plan/merge.ts";
import type { Part } from "../plan/parts.ts";
import { type Attempt, nextAttempt } from "../sweep/attempt.ts";
import { DoneChunks } from "../sweep/done-chunks.ts";
import type { SweepJob } from "../sweep/job.ts";
import { type Schedule, schedule } from "../sweep/schedule.ts";
import { type Sweep, startSweep } from "../sweep/sweep.ts";
import { defaultWorkers, isWarm } from "../sweep/worker-count.ts";
import { sumKnown } from "../units.ts";
import { outcome, type PrefaultReport } from "./report.ts";
import { type Measured, residencyOf, type Subject } from "./subject.ts";

/** The order in which the parts of a run are wanted, and who waits for them. */
export interface PartOrder {
  readonly parts: readonly Part[];
  /** Called before the first chunk is filled; `done` tells from then on which of them are. */
  onStart(schedule: Schedule, done: DoneChunks): void;
  /** Called when the run is over, or was skipped: no chunk will be done any more. */
  onEnd(): void;
}

/** How a sweep goes about what others want of it. */
export interface SweepManner {
  /** Where somebody waits for parts. */
  readonly order?: PartOrder | undefined;
  /**
   * Where an engine may read the same files. One that does so from the beginning of the sweep reads them from their
   * start: they are filled from their end then, in small chunks, and without worker threads.
   */
  readonly turns?: EngineTurns | undefined;
}

/** Why no worker thread may have been started, and the file was filled from its end. */
const BESIDE = "in turns with an engine that loads it";

/** Of a sweep that others may stop at any chunk. */
const SMALL_CHUNK_BYTES = 8 * 1024 ** 2;

/** A sweep that has begun, and then what it did. */
export interface FillStep {
  readonly sweep: Sweep;
  readonly report: Partial<PrefaultReport>;
}

/**
 * Makes a subject resident. Where a way of filling cannot be begun, the next one is tried.
 *
 * @returns one step when a sweep has begun, and another when it is over
 * @throws {@link PrefaultError} what choosing a strategy, mapping and the sweep throw
 */
export async function* fill(
  subject: Subject,
  before: Measured,
  options: ResolvedOptions,
  manner: SweepManner = {},
): AsyncGenerator<FillStep> {
  const { turns } = manner;
  const isBeside = turns !== undefined && (await abortable(options.signal, turns.isBeside()));
  const work = workOf(subject, before, options, manner, isBeside);
  for (let attempt = subject.choose(options.strategy, options.workers); ; ) {
    try {
      const sweep = await startAttempt(attempt, subject, work, options);
      const { strategy } = attempt;
      const strategyReason = isBeside ? `${attempt.why}; ${BESIDE}` : attempt.why;
      yield { sweep, report: { ran: true, strategy, strategyReason } };
      const result = await sweep.result;
      await subject.expectSame();
      const { residentBytes: seen } = result;
      const after =
        seen === null ? await subject.measure() : { total: sumKnown(seen), files: seen };
      const residency = residencyOf(subject, before, after);
      yield { sweep, report: { ...residency, ...outcome(subject.bytes, result) } };
      return;
    } catch (thrown) {
      const next: Attempt | null = nextAttempt(thrown, attempt, options.strategy);
      if (next === null) throw thrown;
      attempt = next;
    }
  }
}

/** What stays the same, whichever way it is filled. */
type Work = Omit<SweepJob, "mapping" | "strategy"> & {
  readonly layout: ReturnType<Subject["layOut"]>;
};

function workOf(
  subject: Subject,
  before: Measured,
  options: ResolvedOptions,
  { order, turns }: SweepManner,
  isBeside: boolean,
): Work {
  const { bytes, files, plan, reserve } = subject;
  const layout = subject.layOut();
  const { chunkBytes } = options;
  const cut = cutChunks(
    layout.ranges,
    isBeside ? Math.min(chunkBytes, SMALL_CHUNK_BYTES) : chunkBytes,
  );
  const ordered =
    order === undefined || plan === null ? null : schedule(cut, layout, plan, order.parts);
  const fromEnd = isBeside ? cut.reordered([...Array(cut.length).keys()].reverse()) : null;
  const chunks = ordered?.chunks ?? fromEnd ?? cut;
  const done = DoneChunks.forChunks(chunks.length);
  if (ordered !== null) order?.onStart(ordered, done);
  return {
    layout,
    files,
    extents: layout.extents,
    chunks,
    done,
    isWarm: isWarm(bytes, before.total),
    // A touch that was asked for needs a thread that may block.
    workers:
      options.workers ??
      defaultWorkers(bytes, before.total, files, isBeside && options.strategy !== "touch"),
    firstWorkers: options.workers ?? availableParallelism(),
    turns: turns?.word ?? null,
    reserve,
    keepGoing: options.onError === "continue",
    workerUrl: options.workerUrl,
    signal: options.signal,
    onProgress: options.onProgress,
  };
}

async function startAttempt(
  { strategy, withoutWorkers }: Attempt,
  subject: Subject,
  { layout, ...job }: Work,
  { signal }: ResolvedOptions,
): Promise<Sweep> {
  if (signal?.aborted) throw abortError(signal);
  const mapping = subject.map(layout, strategy);
  return startSweep({
    ...job,
    mapping,
    strategy,
    workers: withoutWorkers === true ? 0 : job.workers,
  });
}
