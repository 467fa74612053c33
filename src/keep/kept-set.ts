import { setTimeout as sleep } from "node:timers/promises";
import { loadShim } from "../../shims/index.ts";
import { asPrefaultError, type PrefaultError } from "../errors.ts";
import type { HeldRegions } from "../hold/lock.ts";
import { memoryPressure } from "../memory/calm.ts";
import type { ResolvedOptions } from "../options.ts";
import { fits } from "../run/gate.ts";
import { firstError, type PrefaultReport } from "../run/report.ts";
import type { FilesRun } from "../target/run.ts";
import { formatBytes, MOST_TIMER_MS } from "../units.ts";
import { fillAgain } from "./fill-again.ts";
import { type Filled, type FillTask, fillBeside } from "./fill-beside.ts";
import { holdRuns } from "./hold-runs.ts";
import { isQuiet, whileIdle } from "./idle.ts";
import { isMissing, isUntold, KeptFiles, type KeptRun } from "./kept-run.ts";
import { Pace } from "./pace.ts";
import { awaitedBytes, likeBefore, withProfile } from "./same-set.ts";

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
  /** How often something was filled again, and how many bytes are known to have been missing. */
  readonly refills: number;
  readonly refilledBytes: number;
  /** Why the last attempt to fill something again failed; `null` when it did not, or there was none. */
  readonly refillError: PrefaultError | null;
  /**
   * Looks at which something was missing, or due where the system does not tell, and memory was short or somebody was
   * reading.
   */
  readonly postponed: number;
  /** Share of the last ten seconds in which some program waited for memory, percent. As of now. */
  readonly pressurePercent: number;
}

type Log = (line: string) => void;

/**
 * Where all of it is locked, a look tells no more than that a file was replaced, and is so many times as rare: each
 * look takes some milliseconds of a processor.
 */
const HELD_LOOKS = 5;

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
  /** Of the runs, from the first look on. */
  #files: KeptFiles[] = [];
  /** Bytes of the target that fit together or not, while a gate skips some of them; 0 from then on. */
  #awaitedBytes: number;
  #options: ResolvedOptions;
  #held: HeldRegions | null;
  #state: KeptState;
  readonly #pace: Pace;
  /** What was said last of a fill that did not succeed: it is not said at each look. */
  #said = "";

  /** Fills and locks. @throws {@link PrefaultError} as {@link fillBeside} and {@link withProfile} */
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
    this.#pace = new Pace(task.everyMs);
    this.#state = {
      runs: [],
      lockedBytes: held?.lockedBytes ?? 0,
      refills: 0,
      refilledBytes: 0,
      refillError: null,
      postponed: 0,
      pressurePercent: 0,
    };
    this.ended = this.#keep().then(
      () => null,
      async (thrown: unknown) => {
        await this.#closeFiles();
        return task.signal.aborted ? null : asPrefaultError(thrown);
      },
    );
  }

  get state(): KeptState {
    // Asked for by a person or a scrape, and less often than there are looks.
    return { ...this.#state, pressurePercent: memoryPressure() };
  }

  /** Looks what is resident now. @throws {@link PrefaultError} as {@link KeptFiles} */
  async look(): Promise<KeptState> {
    const runs: KeptRun[] = [];
    for (const [index, run] of this.#runs.entries()) {
      const files = this.#files[index] ?? (await KeptFiles.open(run));
      this.#files[index] = files;
      runs.push(...(await files.look(this.#task.signal)));
    }
    this.#state = { ...this.#state, runs };
    return this.#state;
  }

  /** Ends when its signal has fired. Lets go of what is locked. */
  async close(): Promise<void> {
    await this.ended;
    await this.#closeFiles();
    this.#held?.release();
    this.#held = null;
  }

  async #closeFiles(): Promise<void> {
    for (const files of this.#files.splice(0)) await files.close();
  }

  async #keep(): Promise<void> {
    const { signal, everyMs } = this.#task;
    if (this.#runs.length === 0 && this.#awaitedBytes === 0) return;
    while (!signal.aborted) {
      const { runs } = await this.look();
      if (runs.some(isMissing) || (await this.#hasRoom())) await this.#refill();
      else if (runs.some(isUntold) && !this.#isHeld() && this.#pace.isDue) await this.#fillUntold();
      const pauseMs = Math.min(this.#isHeld() ? HELD_LOOKS * everyMs : everyMs, MOST_TIMER_MS);
      await sleep(pauseMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Whether nothing is left to wait for, and nothing can go missing. */
  #isHeld(): boolean {
    return this.#held !== null && this.#held.why === null && this.#awaitedBytes === 0;
  }

  async #refill(): Promise<void> {
    const { signal, engine } = this.#task;
    if (!(await isQuiet(engine, signal))) return this.#postpone();
    const filled = await whileIdle(engine, signal, (stop) => {
      return fillBeside({ ...this.#task, options: { ...this.#options, signal: stop } }, () => {});
    });
    if (signal.aborted) return;
    const reports = filled?.reports ?? [];
    const bytes = reports.reduce((sum, report) => sum + filledBytes(report), 0);
    this.#state = { ...this.#state, refilledBytes: this.#state.refilledBytes + bytes };
    const error = firstError(reports);
    if (filled === null || error?.code === "PREFAULT_ABORTED") return this.#postpone();
    if (this.#hasFailed(error)) return;
    if (filled.runs.length === 0) return this.#postpone();
    await this.#keepAlso(filled);
    await this.look();
    this.#countRefill();
    this.#log(`prefault: ${formatBytes(bytes)} were missing, and are resident again`);
  }

  /** Nobody knows whether anything was missing: of what is still there a fill takes next to nothing. */
  async #fillUntold(): Promise<void> {
    const { signal, engine } = this.#task;
    if (!(await isQuiet(engine, signal))) return this.#postpone();
    const startedMs = performance.now();
    const reports = await whileIdle(engine, signal, (stop) => {
      return fillAgain(this.#runs, { ...this.#options, signal: stop });
    });
    if (signal.aborted || reports === null) return;
    const error = firstError(reports);
    if (error?.code === "PREFAULT_ABORTED" || this.#hasFailed(error)) return;
    this.#pace.took(performance.now() - startedMs);
    this.#countRefill();
  }

  /** Keeps why a fill failed, if it did, and says it once. */
  #hasFailed(error: PrefaultError | undefined): boolean {
    this.#state = { ...this.#state, refillError: error ?? null };
    if (error === undefined) return false;
    const line = `prefault: not filled again: ${error.message}`;
    if (line !== this.#said) this.#log(line);
    this.#said = line;
    return true;
  }

  #countRefill(): void {
    this.#said = "";
    this.#state = { ...this.#state, refills: this.#state.refills + 1 };
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

  /** What a gate skipped at first, and there is room for now. */
  async #keepAlso(filled: Filled): Promise<void> {
    if (filled.runs.length <= this.#runs.length) return;
    const { lock, signal } = this.#task;
    await this.#closeFiles();
    this.#runs = filled.runs;
    this.#awaitedBytes = awaitedBytes(filled);
    this.#options = likeBefore(this.#options, filled);
    // Both together may exceed the limit.
    this.#held?.release();
    const held = lock ? await holdRuns(filled.runs, signal, this.#log) : null;
    this.#held = held;
    this.#state = { ...this.#state, lockedBytes: held?.lockedBytes ?? 0 };
  }
}

/** What a fill has added, as far as that is known. */
function filledBytes({
  residentBytesBefore: before,
  residentBytesAfter: after,
}: PrefaultReport): number {
  return before === null || after === null ? 0 : Math.max(0, after - before);
}
