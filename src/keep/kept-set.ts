import { setTimeout as sleep } from "node:timers/promises";
import { loadShim } from "../../shims/index.ts";
import { asPrefaultError, type PrefaultError } from "../errors.ts";
import { readProfile } from "../experts/read-profile.ts";
import type { HeldRegions } from "../hold/lock.ts";
import { memoryPressure } from "../memory/calm.ts";
import type { ResolvedOptions } from "../options.ts";
import { fits } from "../run/gate.ts";
import type { PrefaultReport } from "../run/report.ts";
import type { FilesRun } from "../target/run.ts";
import { formatBytes } from "../units.ts";
import { type Filled, type FillTask, fillBeside } from "./fill-beside.ts";
import { holdRuns } from "./hold-runs.ts";
import { isQuiet, whileIdle } from "./idle.ts";
import { isMissing, type KeptRun, lookAt } from "./kept-run.ts";

/** What is kept resident, and how. */
export interface KeepTask extends FillTask {
  /** Whether to hold it by a lock, as far as the limit goes. */
  readonly lock: boolean;
  /** Milliseconds between two looks at what is still resident. */
  readonly everyMs: number;
  /** The engine that uses it: nothing is filled again while it reads. `null`: while anybody reads. */
  readonly engine: number | null;
  readonly signal: AbortSignal;
}

/** How things stood at the last look. */
export interface KeptState {
  readonly runs: readonly KeptRun[];
  readonly lockedBytes: number;
  /** How often something was filled again, and how many bytes that were. */
  readonly refills: number;
  readonly refilledBytes: number;
  /** Looks at which something was missing, and memory was short or somebody was reading. */
  readonly postponed: number;
  /** Share of the last ten seconds in which some program waited for memory, percent. */
  readonly pressurePercent: number;
}

type Log = (line: string) => void;

/**
 * A set of regions that stays resident: filled, locked as far as the limit goes, and filled again when
 * something else has taken its memory. That happens only while nobody waits for memory and the engine reads
 * nothing: to read beside an engine that computes takes a tenth to a quarter of its speed.
 */
export class KeptSet {
  readonly reports: readonly PrefaultReport[];
  /** `null` when the signal has fired, or there is nothing to keep; an error when it cannot be kept any more. */
  readonly ended: Promise<PrefaultError | null>;
  readonly #task: KeepTask;
  readonly #log: Log;
  #runs: readonly FilesRun[];
  /** Bytes of the target that fit together or not, while a gate skips some of them; 0 from then on. */
  #awaitedBytes: number;
  #options: ResolvedOptions;
  #held: HeldRegions | null;
  #state: KeptState;
  /** What was said last of a fill that did not succeed: it is not said at each look. */
  #said = "";

  /** Fills and locks. @throws {@link PrefaultError} as {@link fillBeside} and {@link readProfile} */
  static async fill(task: KeepTask, log: Log): Promise<KeptSet> {
    const options = await withProfile(task.options);
    const filled = await fillBeside({ ...task, options }, log);
    const held = task.lock ? await holdRuns(filled.runs, task.signal, log) : null;
    return new KeptSet({ ...task, options, loader: null }, filled, held, log);
  }

  private constructor(task: KeepTask, filled: Filled, held: HeldRegions | null, log: Log) {
    this.#task = task;
    this.#log = log;
    this.reports = filled.reports;
    this.#runs = filled.runs;
    this.#awaitedBytes = awaitedBytes(filled);
    this.#options = likeBefore(task.options, filled);
    this.#held = held;
    this.#state = {
      runs: [],
      lockedBytes: held?.lockedBytes ?? 0,
      refills: 0,
      refilledBytes: 0,
      postponed: 0,
      pressurePercent: 0,
    };
    this.ended = this.#keep().then(
      () => null,
      (thrown: unknown) => (task.signal.aborted ? null : asPrefaultError(thrown)),
    );
  }

  get state(): KeptState {
    return this.#state;
  }

  /** Looks what is resident now. @throws {@link PrefaultError} as {@link lookAt} */
  async look(): Promise<KeptState> {
    const runs: KeptRun[] = [];
    for (const run of this.#runs) runs.push(...(await lookAt(run, this.#task.signal)));
    this.#state = { ...this.#state, runs, pressurePercent: memoryPressure() };
    return this.#state;
  }

  /** Ends when its signal has fired. Lets go of what is locked. */
  async close(): Promise<void> {
    await this.ended;
    this.#held?.release();
    this.#held = null;
  }

  async #keep(): Promise<void> {
    const { signal, everyMs } = this.#task;
    if (this.#runs.length === 0 && this.#awaitedBytes === 0) return;
    while (!signal.aborted) {
      const { runs } = await this.look();
      if (runs.some(isMissing) || (await this.#hasRoom())) await this.#refill();
      await sleep(everyMs, undefined, { signal }).catch(() => {});
    }
  }

  async #refill(): Promise<void> {
    const { signal, engine } = this.#task;
    if (!(await isQuiet(engine, signal))) return this.#postpone();
    const filled = await whileIdle(engine, signal, (stop) => {
      return fillBeside({ ...this.#task, options: { ...this.#options, signal: stop } }, () => {});
    });
    if (signal.aborted) return;
    const reports = filled?.reports ?? [];
    const bytes = reports.reduce((sum, { residentBytesBefore, residentBytesAfter }) => {
      return sum + Math.max(0, (residentBytesAfter ?? 0) - (residentBytesBefore ?? 0));
    }, 0);
    this.#state = { ...this.#state, refilledBytes: this.#state.refilledBytes + bytes };
    const error = reports.find((report) => report.error !== undefined)?.error;
    if (filled === null || error?.code === "PREFAULT_ABORTED") return this.#postpone();
    if (error !== undefined) return this.#sayOnce(`prefault: not filled again: ${error.message}`);
    if (filled.runs.length === 0) return this.#postpone();
    await this.#keepAlso(filled);
    this.#said = "";
    await this.look();
    this.#state = { ...this.#state, refills: this.#state.refills + 1 };
    this.#log(`prefault: ${formatBytes(bytes)} were missing, and are resident again`);
  }

  /** Whether there is room now for what a gate has skipped. */
  async #hasRoom(): Promise<boolean> {
    const subject = { bytes: this.#awaitedBytes, residentBytes: 0, gate: undefined };
    return this.#awaitedBytes > 0 && fits(subject, this.#options, await loadShim());
  }

  #postpone(): void {
    if (this.#task.signal.aborted) return;
    this.#state = { ...this.#state, postponed: this.#state.postponed + 1 };
  }

  #sayOnce(line: string): void {
    if (line !== this.#said) this.#log(line);
    this.#said = line;
  }

  /** What a gate skipped at first, and there is room for now. */
  async #keepAlso(filled: Filled): Promise<void> {
    if (this.#awaitedBytes === 0) return;
    const { lock, signal } = this.#task;
    this.#runs = filled.runs;
    this.#awaitedBytes = awaitedBytes(filled);
    this.#options = likeBefore(this.#options, filled);
    const held = lock ? await holdRuns(filled.runs, signal, this.#log) : null;
    this.#held?.release();
    this.#held = held;
    this.#state = { ...this.#state, lockedBytes: held?.lockedBytes ?? 0 };
  }
}

/** The same set each time, whatever is available then. */
function likeBefore(options: ResolvedOptions, { runs, budgetBytes }: Filled): ResolvedOptions {
  return runs.length === 0 ? options : { ...options, budget: budgetBytes ?? options.budget };
}

/** With the profile as it is now: it may be written anew while the set is kept. */
async function withProfile(options: ResolvedOptions): Promise<ResolvedOptions> {
  const { profile, signal } = options;
  return typeof profile === "string"
    ? { ...options, profile: await readProfile(profile, { signal }) }
    : options;
}

/** A budget divides what fits from what does not; without one, what was skipped fits with the rest or not. */
function awaitedBytes({ reports, budgetBytes }: Filled): number {
  const isSkipped = reports.some(({ ran, error, bytes }) => !ran && !error && bytes > 0);
  if (!isSkipped || budgetBytes !== null) return 0;
  return reports.reduce((sum, { bytes }) => sum + bytes, 0);
}
