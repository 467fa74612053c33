import { describeValue } from "../describe.ts";
import { PrefaultError } from "../errors.ts";
import { logOf, type PrefaultOptions } from "../options.ts";
import { reporting } from "../run/prefault.ts";
import type { PrefaultReport } from "../run/report.ts";
import type { Target } from "../target/target.ts";
import { MOST_TIMER_MS } from "../units.ts";
import { KeptSet, type KeptState } from "./kept-set.ts";

/** How to keep a target resident: the options of `prefault`, and how it is looked after. */
export interface KeepOptions extends Omit<PrefaultOptions, "onError"> {
  /**
   * Holds the target in memory as far as the limit on locked memory allows, what every token reads first.
   *
   * @defaultValue `false`: the limit is 8 MiB on most systems, and what is locked nobody else can use
   */
  readonly lock?: boolean | undefined;

  /**
   * Milliseconds between two looks at what is still resident.
   *
   * @defaultValue `2_000`: looking costs one or two thousandths of a processor (bench `keep`), and what goes missing
   *   is back within five seconds of calm, where the system tells what is resident
   */
  readonly everyMs?: number | undefined;

  /**
   * The process that uses the target. Nothing is filled again while it reads from a device, and room is
   * made in its mapping where only a part of a model fits.
   *
   * @defaultValue none: nothing is filled again while anybody on the machine reads
   */
  readonly pid?: number | undefined;
}

/** A target that is kept resident until it is closed. */
export interface KeptWarm extends AsyncDisposable {
  /** What was filled at first, or why nothing was. Never rejects. */
  readonly report: Promise<PrefaultReport>;
  /**
   * How things stand: at the last look, which is at most `everyMs` ago, or five times that where all is locked.
   * `null` before the first.
   */
  readonly state: KeptState | null;
  /**
   * `null` when it was closed; an error when it cannot be kept any more, such as `PREFAULT_FILE_CHANGED` for a
   * file that was replaced. Never rejects.
   */
  readonly ended: Promise<PrefaultError | null>;
  /** Ends it, and lets go of what is locked. Never rejects. */
  close(): Promise<void>;
}

/** Twice the second for which it has to be calm and a look between: what is gone is back within five seconds. */
export const EVERY_MS = 2000;

/**
 * Keeps a target resident: fills it, and fills again what something else has pushed out, when nobody waits
 * for memory and nobody reads. What a gate skips is asked about again at each look. Where the system does not tell
 * what is resident (a file of another user; any file on Windows) it is filled again after the time of 30 looks, and
 * at most for a hundredth of the time. Leaves nothing behind when it is closed.
 *
 * ```ts
 * await using kept = keepWarm(plan, { lock: true });
 * ```
 *
 * Never rejects: what goes wrong is in the report, and in the log. An error that keeps all of the target from
 * being filled ends it. Memory that somebody mapped is filled once, and not looked after.
 */
export function keepWarm(target: Target, options: KeepOptions = {}): KeptWarm {
  const stop = new AbortController();
  const { signal } = stop;
  const { lock = false, everyMs = EVERY_MS, pid, signal: given, ...others } = options;
  const onAbort = () => stop.abort(given?.reason);
  let set: KeptSet | null = null;
  const report = reporting({ ...others, signal: given }, async (resolved) => {
    expectNumber("everyMs", everyMs, MOST_TIMER_MS);
    if (pid !== undefined) expectNumber("pid", pid, MOST_PID);
    // Checked by now, so that it is a signal.
    given?.addEventListener("abort", onAbort, { once: true });
    const engine = pid ?? null;
    const task = { target, options: { ...resolved, signal }, reader: engine, engine };
    set = await KeptSet.fill({ ...task, lock, everyMs, signal }, logOf(others));
    return [...set.reports];
  });
  const ended = report.then(async ({ ran, error }) => {
    const failed = set === null || !ran ? (error ?? null) : await set.ended;
    if (failed === null && !signal.aborted) await fired(signal);
    if (signal.aborted || failed === null || failed.code === "PREFAULT_ABORTED") return null;
    if (set !== null)
      logOf(options)(`[${options.label ?? "prefault"}] Keeping stopped: ${failed.message}.`);
    return failed;
  });
  async function close(): Promise<void> {
    stop.abort();
    given?.removeEventListener?.("abort", onAbort);
    await report;
    await set?.close();
  }
  return {
    report,
    get state() {
      return set?.state ?? null;
    },
    ended,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Linux's `PID_MAX_LIMIT` is 2^22; Windows has 32 bits. */
const MOST_PID = 2 ** 32 - 1;

function fired(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function expectNumber(name: string, value: number, most: number): void {
  if (Number.isFinite(value) && value >= 1 && value <= most) return;
  throw new PrefaultError(
    "PREFAULT_INVALID_OPTION",
    `${name} must be a number from 1 to ${most}, got ${describeValue(value)}`,
  );
}
