import { setTimeout as sleep } from "node:timers/promises";
import { loadShim } from "../../shims/index.ts";
import { readBytesOf } from "../beside/activity.ts";
import { asPrefaultError } from "../errors.ts";
import { type HeldRegions, lockRegions, RAISE_LIMIT } from "../hold/lock.ts";
import { processTree } from "../hold/process-tree.ts";
import { isCalm, memoryPressure } from "../memory/calm.ts";
import { readText } from "../memory/read-text.ts";
import { planRegions } from "../plan/plan.ts";
import { residentBytes } from "../residency/count.ts";
import type { PrefaultReport } from "../run/report.ts";
import type { FilesRun } from "../target/run.ts";
import { fileRegions } from "../target/target.ts";
import { formatBytes } from "../units.ts";
import { type FillTask, fillBeside } from "./fill-beside.ts";

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

/** What of one run is wanted, and what of that is resident. */
export interface KeptRun {
  readonly name: string;
  readonly path: string;
  /** Bytes, in whole pages. */
  readonly wantedBytes: number;
  /** `null` where the system does not say. */
  readonly residentBytes: number | null;
}

/** How things stood at the last look. */
export interface KeptState {
  readonly runs: readonly KeptRun[];
  readonly lockedBytes: number;
  /** How often something was filled again, and how many bytes that were. */
  readonly refills: number;
  readonly refilledBytes: number;
  /** Looks at which something was missing, and memory was under pressure or somebody was reading. */
  readonly postponed: number;
  /** Share of the last ten seconds in which some program waited for memory, percent. */
  readonly pressurePercent: number;
}

/** So much may be missing: the system takes a page here and there. */
const MISSING_SHARE = 0.02;

/** An engine that reads no more than so much in this time is idle. */
const IDLE_MS = 2000;
const IDLE_BYTES = 1024 ** 2;

/** While it is filled again, the engine is looked at this often. */
const BUSY_LOOK_MS = 200;

/**
 * A set of regions that stays resident: filled, locked as far as the limit goes, and filled again when
 * something else has taken its memory. That happens only while nobody waits for memory and the engine reads
 * nothing: to read beside an engine that computes takes a tenth to a quarter of its speed.
 */
export class KeptSet {
  readonly reports: readonly PrefaultReport[];
  readonly #task: KeepTask;
  readonly #runs: readonly FilesRun[];
  readonly #log: (line: string) => void;
  #held: HeldRegions | null;
  #state: KeptState;
  readonly #keeping: Promise<void>;

  /** Fills and locks. @throws {@link PrefaultError} as {@link fillBeside} */
  static async fill(task: KeepTask, log: (line: string) => void): Promise<KeptSet> {
    const { reports, runs, budgetBytes } = await fillBeside(task, log);
    const held = task.lock ? await hold(runs, task.signal, log) : null;
    // The same set each time, whatever is available then.
    const options = { ...task.options, budget: budgetBytes ?? task.options.budget };
    const set = new KeptSet({ ...task, options, loader: null }, reports, runs, held, log);
    return set;
  }

  private constructor(
    task: KeepTask,
    reports: readonly PrefaultReport[],
    runs: readonly FilesRun[],
    held: HeldRegions | null,
    log: (line: string) => void,
  ) {
    this.#task = task;
    this.reports = reports;
    this.#runs = runs;
    this.#held = held;
    this.#log = log;
    this.#state = {
      runs: [],
      lockedBytes: held?.lockedBytes ?? 0,
      refills: 0,
      refilledBytes: 0,
      postponed: 0,
      pressurePercent: 0,
    };
    this.#keeping = this.#keep().catch((error: unknown) => {
      if (!task.signal.aborted) log(`prefault: ${asPrefaultError(error).message}`);
    });
  }

  get state(): KeptState {
    return this.#state;
  }

  /** Looks what is resident now. @throws {@link PrefaultError} as {@link planRegions} */
  async look(): Promise<KeptState> {
    const runs: KeptRun[] = [];
    for (const run of this.#runs) runs.push(await lookAt(run, this.#task.signal));
    this.#state = { ...this.#state, runs, pressurePercent: memoryPressure() };
    return this.#state;
  }

  /** Ends when its signal has fired. Lets go of what is locked. */
  async close(): Promise<void> {
    await this.#keeping;
    this.#held?.release();
    this.#held = null;
  }

  async #keep(): Promise<void> {
    const { signal, everyMs } = this.#task;
    if (this.#runs.length === 0) return;
    while (!signal.aborted) {
      const { runs } = await this.look();
      if (runs.some(isMissing)) await this.#refill();
      await sleep(everyMs, undefined, { signal }).catch(() => {});
    }
  }

  async #refill(): Promise<void> {
    const { signal, engine } = this.#task;
    if (!isCalm() || !(await isIdle(engine, signal))) {
      if (!signal.aborted) this.#state = { ...this.#state, postponed: this.#state.postponed + 1 };
      return;
    }
    const stop = new AbortController();
    const onAbort = () => stop.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const watching = engine === null ? undefined : stopWhenBusy(engine, stop);
    const options = { ...this.#task.options, signal: stop.signal };
    const { reports } = await fillBeside({ ...this.#task, options }, () => {});
    clearInterval(watching);
    signal.removeEventListener("abort", onAbort);
    const bytes = reports.reduce((sum, report) => {
      const { residentBytesBefore, residentBytesAfter } = report;
      return sum + Math.max(0, (residentBytesAfter ?? 0) - (residentBytesBefore ?? 0));
    }, 0);
    const { refills, refilledBytes } = this.#state;
    this.#state = { ...this.#state, refills: refills + 1, refilledBytes: refilledBytes + bytes };
    await this.look();
    this.#log(`prefault: ${formatBytes(bytes)} were missing, and are resident again`);
  }
}

function isMissing({ wantedBytes, residentBytes: resident }: KeptRun): boolean {
  return resident !== null && resident < (1 - MISSING_SHARE) * wantedBytes;
}

async function lookAt(run: FilesRun, signal: AbortSignal): Promise<KeptRun> {
  const shim = await loadShim();
  const plan = await planRegions(run.regions, shim);
  try {
    let wantedBytes = 0;
    let resident: number | null = 0;
    for (const { file, ranges } of plan.files) {
      wantedBytes += ranges.byteLength;
      const count = await residentBytes(shim, file, ranges, signal);
      resident = resident === null || count === null ? null : resident + count;
    }
    const { name = "files" } = run;
    return { name, path: plan.files[0]?.file.path ?? "", wantedBytes, residentBytes: resident };
  } finally {
    await plan.close();
  }
}

/** Whether an engine, or where none is known anybody, reads next to nothing for a moment. */
async function isIdle(engine: number | null, signal: AbortSignal): Promise<boolean> {
  const before = await readSoFar(engine);
  await sleep(IDLE_MS, undefined, { signal }).catch(() => {});
  return !signal.aborted && (await readSoFar(engine)) - before <= IDLE_BYTES;
}

function stopWhenBusy(engine: number, stop: AbortController): NodeJS.Timeout {
  let before: number | undefined;
  return setInterval(async () => {
    const now = await readSoFar(engine);
    if (before !== undefined && now - before > IDLE_BYTES) stop.abort();
    before = now;
  }, BUSY_LOOK_MS);
}

/** Bytes that an engine has read from devices so far, or the whole machine (proc_vmstat(5), `pgpgin`). */
async function readSoFar(engine: number | null): Promise<number> {
  if (engine !== null) return (await readBytesOf(await processTree(engine))) ?? 0;
  return Number(/^pgpgin (\d+)$/m.exec(readText("/proc/vmstat"))?.[1] ?? 0) * 1024;
}

/** A lock that is refused leaves the set warm. */
async function hold(
  runs: readonly FilesRun[],
  signal: AbortSignal,
  log: (line: string) => void,
): Promise<HeldRegions | null> {
  const regions = fileRegions(runs);
  if (regions.length === 0) return null;
  try {
    const held = await lockRegions(regions, { signal });
    const { lockedBytes, wantedBytes, why } = held;
    const all = `prefault: ${formatBytes(lockedBytes)} are locked`;
    log(why === null ? all : `${all} of ${formatBytes(wantedBytes)}: ${why}; ${RAISE_LIMIT}`);
    return held;
  } catch (error) {
    log(`prefault: nothing is locked: ${asPrefaultError(error).message}`);
    return null;
  }
}
