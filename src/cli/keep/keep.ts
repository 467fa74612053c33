import { untilEnded } from "../../beside/process-end.ts";
import type { PrefaultError } from "../../errors.ts";
import { type KeptWarm, keepWarm } from "../../keep/keep-warm.ts";
import { disabledReason } from "../../kill-switch.ts";
import type { PrefaultReport } from "../../run/report.ts";
import { unopened } from "../../target/failure-report.ts";
import { formatBytes } from "../../units.ts";
import { budgetOptions } from "../budget.ts";
import type { Flags } from "../flags.ts";
import type { PlacementFlags } from "../placement-flags.ts";
import { progressBar } from "../progress.ts";
import type { Result } from "../result.ts";
import { plural, printable } from "../text.ts";
import { logRuns, residencyLine } from "../warm.ts";
import type { Listener } from "./listener.ts";
import { isWarm, type KeepView } from "./readiness.ts";
import { type KeepTarget, keepTarget } from "./target.ts";

/**
 * `prefault keep`: fills, and fills again what goes missing, until it is stopped, or the process of `--pid`
 * ends. To be stopped is its usual end.
 */
export async function keep(
  files: readonly string[],
  flags: Flags & PlacementFlags,
  signal: AbortSignal,
): Promise<Result> {
  const keeping = new Keeping(flags, signal);
  try {
    await keeping.run(files);
  } catch (error) {
    // What is stopped is stopped on purpose.
    if (!keeping.isOver) throw error;
  } finally {
    await keeping.end();
  }
  return keeping.result();
}

class Keeping {
  readonly #flags: Flags & PlacementFlags;
  readonly #stop = new AbortController();
  readonly #say: (line: string) => void;
  readonly #disabled = disabledReason() ?? null;
  #listener: Listener | undefined;
  #kept: KeptWarm | undefined;
  #report: PrefaultReport | null = null;
  #target: KeepTarget | undefined;
  #error: PrefaultError | undefined;
  /** A promise alone does not keep a process alive, nor does a handler of signals. */
  readonly #alive = setInterval(() => {}, 60_000);

  constructor(flags: Flags & PlacementFlags, signal: AbortSignal) {
    this.#flags = flags;
    this.#say = (line) => {
      if (!flags.quiet) process.stderr.write(`${printable(line)}\n`);
    };
    if (signal.aborted) this.#stop.abort();
    signal.addEventListener("abort", () => this.#stop.abort(), { once: true });
  }

  /** Whether it was stopped, or the process has ended. */
  get isOver(): boolean {
    return this.#stop.signal.aborted;
  }

  get #view(): KeepView {
    return { report: this.#report, state: this.#kept?.state ?? null, disabled: this.#disabled };
  }

  async run(files: readonly string[]): Promise<void> {
    const { listen, pid } = this.#flags;
    if (listen !== undefined) {
      const { Listener } = await import("./listener.ts");
      this.#listener = await Listener.open(listen, () => this.#view);
      this.#say(`prefault: ${this.#listener.url}/metrics and /ready are served`);
    }
    // Disabled means that not even a header is read. What is started again when it ends would never rest.
    if (this.#disabled === null) await this.#start(files);
    else this.#say(`prefault: ${this.#disabled}: nothing is warmed until this is started again`);
    if (pid !== undefined) void untilEnded(pid, this.#stop.signal).then(() => this.#stop.abort());
    const ended = this.#kept?.ended ?? fired(this.#stop.signal);
    this.#error = (await ended) ?? undefined;
  }

  async #start(files: readonly string[]): Promise<void> {
    const flags = this.#flags;
    const { signal } = this.#stop;
    const { gate, workers, strategy, lock, every, pid } = flags;
    this.#target = await keepTarget(files, flags, signal);
    for (const note of this.#target.notes) this.#say(`Note: ${note}.`);
    for (const { error } of this.#target.failures) this.#say(`prefault: ${error.message}`);
    let bar = await progressBar(flags);
    this.#kept = keepWarm(this.#target.target, {
      ...{ gate, workers, strategy, lock, pid, signal, everyMs: every },
      ...(await budgetOptions(flags)),
      onProgress: (progress) => bar?.update(progress),
      // What is said of a fill and of its failure is said here.
      log: (line) => (/^\[[^\]]*\] (Pre-fault|Keeping)/.test(line) ? undefined : this.#say(line)),
    });
    const report = await this.#kept.report;
    bar?.stop();
    bar = undefined;
    this.#report = report;
    if (flags.quiet || this.isOver) return;
    logRuns(report);
    for (const note of report.notes) this.#say(`Note: ${note}.`);
    const line = residencyLine(report);
    const isLocked = (this.#kept.state?.lockedBytes ?? 0) >= report.bytes;
    const isKept = report.residentBytesBefore !== null || isLocked;
    const how = isKept ? "kept so" : "filled again from time to time";
    if (line !== "") this.#say(`prefault: ${line}; it is ${how} until this is stopped`);
    else if (report.error === undefined) this.#say("prefault: this runs on until it is stopped");
  }

  /** Leaves nothing behind. */
  async end(): Promise<void> {
    this.#stop.abort();
    await this.#kept?.close();
    await this.#listener?.close();
    clearInterval(this.#alive);
  }

  result(): Result {
    const { quiet, pid } = this.#flags;
    const report = this.#report;
    const failures = [
      ...(this.#target?.failures ?? []).map(unopened),
      ...(report?.failures ?? []).filter(({ byteLength }) => byteLength === 0),
    ];
    const isAborted = report?.error?.code === "PREFAULT_ABORTED";
    const error = this.#error ?? (isAborted ? undefined : report?.error);
    const state = this.#kept?.state ?? null;
    const document = {
      ran: report?.ran ?? false,
      reason: this.#disabled ?? report?.reason ?? "stopped before anything was filled",
      warm: isWarm(this.#view),
      pid: pid ?? null,
      ...(state ?? NOTHING),
      failures,
      notes: [...(this.#target?.notes ?? []), ...(report?.notes ?? [])],
      ...(error && { error }),
    };
    const text = () => {
      if (quiet || state === null || state.runs.length === 0) return "";
      const { refills, refilledBytes, postponed } = state;
      return `filled again ${plural(refills, "time")}, ${formatBytes(refilledBytes)}; postponed ${plural(postponed, "time")}`;
    };
    return { document, text, error, failures, endsOnInterrupt: ["SIGINT", "SIGTERM"] };
  }
}

/** Of what was never looked at. */
const NOTHING = {
  runs: [],
  lockedBytes: 0,
  refills: 0,
  refilledBytes: 0,
  refillError: null,
  postponed: 0,
  pressurePercent: 0,
};

function fired(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(null);
    signal.addEventListener("abort", () => resolve(null), { once: true });
  });
}
