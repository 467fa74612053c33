import { PrefaultError } from "../errors.ts";
import { logOf, type PrefaultOptions } from "../options.ts";
import { reporting } from "../run/prefault.ts";
import type { PrefaultReport } from "../run/report.ts";
import type { Target } from "../target/target.ts";
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
   * @defaultValue `30_000`: a look takes some milliseconds
   */
  readonly everyMs?: number | undefined;

  /**
   * The process that uses the target. Nothing is filled again while it reads from a device, and room is
   * made in its mapping where only a part of a model fits.
   *
   * @defaultValue none: nothing is filled again while anybody reads
   */
  readonly pid?: number | undefined;
}

/** A target that is kept resident until it is closed. */
export interface KeptWarm extends AsyncDisposable {
  /** What was filled at first, or why nothing was. Never rejects. */
  readonly report: Promise<PrefaultReport>;
  /** How things stand: at the last look, which is at most `everyMs` ago. `null` before the first. */
  readonly state: KeptState | null;
  /** Ends it, and lets go of what is locked. Never rejects. */
  close(): Promise<void>;
}

/** A look takes some milliseconds, and what is gone for half a minute does no harm to an idle server. */
export const EVERY_MS = 30_000;

/**
 * Keeps a target resident: fills it, and fills again what something else has pushed out, when nobody waits
 * for memory and nobody reads. Leaves nothing behind when it is closed.
 *
 * ```ts
 * await using kept = keepWarm(plan, { lock: true });
 * ```
 *
 * Never rejects: what goes wrong is in the report, and in the log.
 */
export function keepWarm(target: Target, options: KeepOptions = {}): KeptWarm {
  const stop = new AbortController();
  const { signal } = stop;
  const { lock = false, everyMs = EVERY_MS, pid = null, ...others } = options;
  const onAbort = () => stop.abort(options.signal?.reason);
  if (options.signal?.aborted) onAbort();
  options.signal?.addEventListener("abort", onAbort, { once: true });
  let set: KeptSet | null = null;
  const log = logOf(options);
  const report = reporting({ ...others, signal }, async (resolved) => {
    expectTime(everyMs);
    const task = { target, options: resolved, reader: pid, lock, everyMs, engine: pid, signal };
    set = await KeptSet.fill(task, log);
    return [...set.reports];
  });
  async function close(): Promise<void> {
    stop.abort();
    options.signal?.removeEventListener("abort", onAbort);
    await report;
    await set?.close();
  }
  return {
    report,
    get state() {
      return set?.state ?? null;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function expectTime(everyMs: number): void {
  if (Number.isFinite(everyMs) && everyMs >= 1) return;
  throw new PrefaultError(
    "PREFAULT_INVALID_OPTION",
    `everyMs must be a number of milliseconds from 1 on, got ${String(everyMs)}`,
  );
}
