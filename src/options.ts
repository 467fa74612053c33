import { describeValue } from "./describe.ts";
import { PrefaultError } from "./errors.ts";
import type { Profile } from "./experts/profile.ts";
import { GATES, type Gate } from "./gate.ts";
import { guarded } from "./guarded.ts";
import type { PrefaultProgress } from "./sweep/job.ts";
import { STRATEGIES, type Strategy } from "./sweep/strategy.ts";
import { MOST_WORKERS } from "./sweep/worker-count.ts";

/** What a failed sweep does. */
export type OnError = "report" | "throw" | "continue";

const ON_ERROR: readonly OnError[] = ["report", "throw", "continue"];

export interface PrefaultOptions {
  /**
   * The rule that says whether the sweep fits this machine.
   *
   * @defaultValue the pass's own for a plan, else `"fits-in-free-ram"`: it compares with what can be
   *   had now, so that a model that only just fits does not push out what other programs use
   */
  readonly gate?: Gate | undefined;

  /**
   * Workers: threads that fill at the same time. 1 to 16.
   *
   * @defaultValue twice the processors, at least 2 and at most 8: a worker mostly waits for the device,
   *   so more workers than processors keep its queue full. Those beyond one for each processor start only
   *   where the rest takes longer than a second. What is resident already gets one for each processor, and
   *   what an engine in this process loads just now gets none: two of libuv's threads fill it
   */
  readonly workers?: number | undefined;

  /**
   * Most bytes a worker takes at a time. Rounded up to whole pages of 64 KiB; at most 1 GiB.
   *
   * @defaultValue `33_554_432` (32 MiB), the reference's: long enough for a device's full speed,
   *   short enough that the workers finish together
   */
  readonly chunkBytes?: number | undefined;

  /**
   * How pages are filled.
   *
   * @defaultValue `"auto"`: populate where the kernel can, read elsewhere; the report says which.
   *   With `"touch"` a device that fails to read kills the process (SIGBUS): an error is what only the
   *   others get
   */
  readonly strategy?: Strategy | undefined;

  /**
   * Most bytes that may become resident, what every token reads included; for models larger than
   * memory. `"auto"` is what the gate allows now, less {@link reserveBytes}. What is filled is chosen
   * by {@link profile}, and read without its neighbours in the file.
   *
   * @defaultValue none: what does not fit is skipped, but for what every token reads
   */
  readonly budget?: number | "auto" | undefined;

  /**
   * Bytes to leave for what an engine needs beside its weights, with `budget: "auto"`. They are looked at
   * again while filling: where other programs have taken them, the fill ends early with
   * `PREFAULT_OUT_OF_MEMORY` and keeps what it has.
   *
   * @defaultValue `536_870_912` (512 MiB): llama.cpp's compute buffers take 300 to 500 MiB with its
   *   default batch; a fifth of the memory is left free besides, for the KV cache and other programs
   */
  readonly reserveBytes?: number | undefined;

  /**
   * How often each routed expert is chosen: a file that `readProfile` reads, or what it gave. Ranks
   * experts within the budget, which is `"auto"` unless given.
   *
   * @defaultValue none: experts go in the order of the file
   */
  readonly profile?: string | Profile | undefined;

  /** Stops the sweep. The report's `error` then has the code `PREFAULT_ABORTED`. */
  readonly signal?: AbortSignal | undefined;

  /** Called about ten times a second while bytes are filled, and once at the end. */
  readonly onProgress?: ((progress: PrefaultProgress) => void) | undefined;

  /** Whose weights these are, for the log line. @defaultValue the pass's own, else `"prefault"` */
  readonly label?: string | undefined;

  /**
   * Takes the log line: what was made resident, or why nothing was. Nothing to do is silent.
   *
   * @defaultValue writes to stderr
   */
  readonly log?: ((line: string) => void) | undefined;

  /**
   * Name of the environment variable that turns the sweep off (`0`) or forces it (`1`), in place of
   * the default ones, which then have no effect.
   *
   * @defaultValue `PREFAULT` and `SHARPI_PREFAULT`; where they disagree, `0` wins
   */
  readonly killSwitch?: string | undefined;

  /**
   * What a failure does. `"report"` stops the sweep and tells in the report's `error`; `"continue"`
   * sweeps what is left first; `"throw"` rejects.
   *
   * @defaultValue `"report"`: a prefault is an optimisation, and never makes a model load fail
   */
  readonly onError?: OnError | undefined;

  /**
   * Where the worker thread's file lies, for hosts that move it. A `file:` URL.
   *
   * @defaultValue `worker.js` beside the library's own file, below `app.asar.unpacked` when that file
   *   lies in an Electron archive
   */
  readonly workerUrl?: URL | undefined;
}

type Optional =
  | "budget"
  | "gate"
  | "killSwitch"
  | "label"
  | "onProgress"
  | "profile"
  | "signal"
  | "workers";

/** Every option, checked; only those that may be absent still can be. */
export type ResolvedOptions = {
  readonly [Name in Exclude<keyof PrefaultOptions, Optional>]-?: NonNullable<PrefaultOptions[Name]>;
} & { readonly [Name in Optional]: PrefaultOptions[Name] };

const CHUNK_UNIT = 65_536; // a multiple of every page size: 4, 16 and 64 KiB
const MOST_CHUNK_BYTES = 1024 ** 3;

const RESERVE_BYTES = 512 * 1024 ** 2;

/** A profile chooses within a budget: given alone, the budget is what the gate allows. */
function budgetOf({ budget, profile }: PrefaultOptions): number | "auto" | undefined {
  if (budget === undefined) return profile === undefined ? undefined : "auto";
  if (budget === "auto" || (Number.isSafeInteger(budget) && budget >= 0)) return budget;
  throw invalid("budget", `"auto" or an integer from 0 to ${Number.MAX_SAFE_INTEGER}`, budget);
}

function profileOf(given: unknown): string | Profile | undefined {
  if (given === undefined || (typeof given === "string" && given !== "")) return given;
  const { weights } = (given ?? {}) as Partial<Profile>;
  if (Array.isArray(weights)) return given as Profile;
  throw invalid("profile", "a file's path or what readProfile gave", given);
}

function byteCount(name: string, value: number): number {
  return integer(name, value, 0, Number.MAX_SAFE_INTEGER);
}

/** @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION`, naming the option and what it was given */
export function resolveOptions(given: PrefaultOptions = {}): ResolvedOptions {
  expectOptions(given);
  return {
    gate: given.gate === undefined ? undefined : oneOf("gate", given.gate, GATES),
    label: optional("label", given.label, "string"),
    budget: budgetOf(given),
    reserveBytes: byteCount("reserveBytes", given.reserveBytes ?? RESERVE_BYTES),
    profile: profileOf(given.profile),
    workers:
      given.workers === undefined ? undefined : integer("workers", given.workers, 1, MOST_WORKERS),
    chunkBytes: chunkBytes(given.chunkBytes ?? 32 * 1024 ** 2),
    strategy: oneOf("strategy", given.strategy ?? "auto", STRATEGIES),
    onError: oneOf("onError", given.onError ?? "report", ON_ERROR),
    killSwitch: optional("killSwitch", given.killSwitch, "string"),
    log: logOf(given),
    workerUrl: given.workerUrl === undefined ? defaultWorkerUrl() : fileUrl(given.workerUrl),
    signal: signalOf(given),
    onProgress: given.onProgress && guarded(optional("onProgress", given.onProgress, "function")),
  };
}

/** @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` for anything but an object */
function expectOptions(given: object): void {
  if (typeof given === "object" && given !== null && !Array.isArray(given)) return;
  throw invalid("options", "an object", given);
}

/** @throws as {@link resolveOptions}, for what is no path */
export function expectPath(path: string): void {
  if (typeof path !== "string" || path === "") throw invalid("path", "a file's path", path);
}

/** Where a report's line goes. @throws as {@link resolveOptions} */
export function logOf({ log }: Pick<PrefaultOptions, "log">): (line: string) => void {
  return guarded(optional("log", log, "function") ?? toStderr);
}

/**
 * The signal of anything that waits. By its shape: one of another realm (a DOM, a polyfill) serves.
 *
 * @throws as {@link resolveOptions}
 */
export function signalOf(given: {
  readonly signal?: AbortSignal | undefined;
}): AbortSignal | undefined {
  expectOptions(given);
  const { signal } = given;
  if (signal === undefined) return undefined;
  const isSignal =
    typeof signal === "object" &&
    typeof signal?.aborted === "boolean" &&
    typeof signal.addEventListener === "function" &&
    typeof signal.removeEventListener === "function";
  if (isSignal) return signal;
  throw invalid("signal", "an AbortSignal", signal);
}

/** The line is lost where stderr is closed; that is no reason to end the process. */
function toStderr(line: string): void {
  const { stderr } = process;
  const ignore = () => {};
  // A stream with nobody to hear of its error throws it at the process.
  stderr.once("error", ignore);
  stderr.write(`${line}\n`, (error) => {
    if (!error) stderr.off("error", ignore);
  });
}

function optional<T>(name: string, value: T, type: "function" | "string"): T {
  if (value === undefined || (typeof value === type && value !== "")) return value;
  throw invalid(name, `a ${type}`, value);
}

function fileUrl(given: URL): URL {
  // By its shape: a test runner or an Electron renderer has a URL class of its own.
  if (typeof given === "object" && given?.protocol === "file:") return given;
  throw invalid("workerUrl", "a file: URL", given);
}

function chunkBytes(given: number): number {
  const bytes = integer("chunkBytes", given, 1, MOST_CHUNK_BYTES);
  return Math.ceil(bytes / CHUNK_UNIT) * CHUNK_UNIT;
}

function integer(name: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw invalid(name, `an integer from ${least} to ${most}`, value);
}

function oneOf<T extends string>(name: string, value: T, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value;
  throw invalid(name, `one of ${allowed.join(", ")}`, value);
}

function invalid(name: string, expected: string, value: unknown): PrefaultError {
  return new PrefaultError(
    "PREFAULT_INVALID_OPTION",
    `${name} must be ${expected}, got ${describeValue(value)}`,
  );
}

/**
 * The worker is a file of its own beside the bundle. A thread cannot be started from inside an
 * Electron archive by every Electron, while its unpacked twin can be by all.
 */
function defaultWorkerUrl(): URL {
  // In two steps: bundlers take `new URL("…", import.meta.url)` for an asset and inline or copy the
  // one file, without the chunks it imports.
  const here = import.meta.url;
  const url = new URL("./worker.js", here);
  url.pathname = url.pathname.replace(/\.asar\//, ".asar.unpacked/");
  return url;
}
