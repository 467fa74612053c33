import { parseArgs } from "node:util";

export const SCOPE_NAMES = [
  "kernel",
  "plan",
  "startup",
  "pool",
  "cold",
  "warm",
  "peers",
  "first-token",
  "ready",
  "beside",
  "larger",
  "server",
  "server-uniform",
  "server-long",
  "server-gpu",
  "reference",
  "read-ahead",
  "slices",
  "keep",
] as const;

export type ScopeName = (typeof SCOPE_NAMES)[number];

/** What the command line asks for. */
export interface Settings {
  readonly scopes: readonly ScopeName[];
  /** Where the results go as JSON; the tables go to stdout either way. */
  readonly json: string | undefined;
  /** Interleaved rounds: each contender runs once in each. */
  readonly rounds: number;
  /** Bytes of the file that is filled, and of the model. */
  readonly bytes: number;
  /** Keeps the files there for the next run; without it they are made anew and removed. */
  readonly dir: string | undefined;
  readonly quick: boolean;
  /** Empties the page cache of the whole machine before each cold run. */
  readonly dropCaches: boolean;
  /** Bytes a second of the capped device. */
  readonly capBytes: number;
  /** How long `keep` is watched. */
  readonly minutes: number;
  /** The folder whose `node_modules` holds node-llama-cpp. */
  readonly engine: string;
}

const GIB = 1024 ** 3;

export const USAGE = `npm run bench -- [options]
  --scope NAMES    ${SCOPE_NAMES.join(", ")} or all; several with commas   [all]
  --json FILE      write the results as JSON
  --rounds N       interleaved rounds                                      [5; quick 2]
  --bytes N        bytes of the file                                       [4 GiB; quick 512 MiB]
  --dir DIR        make the files there and keep them for the next run     [a temporary folder]
  --quick          small files, few rounds: shows only that it runs
  --cap N          bytes a second of the capped device                     [524288000]
  --minutes N      how long keep is watched                                [60; quick 1]
  --engine DIR     folder with node-llama-cpp in its node_modules          [build/engine]
  --drop-caches    as root: also empty the machine's page cache before each cold run`;

/** @throws Error that says what was wrong */
export function parseSettings(argv: readonly string[]): Settings {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      scope: { type: "string", default: "all" },
      json: { type: "string" },
      rounds: { type: "string" },
      bytes: { type: "string" },
      dir: { type: "string" },
      quick: { type: "boolean", default: false },
      "drop-caches": { type: "boolean", default: false },
      cap: { type: "string", default: String(500 * 1024 ** 2) },
      minutes: { type: "string" },
      engine: { type: "string", default: "build/engine" },
    },
  });
  const { quick } = values;
  if (values["drop-caches"] && process.getuid?.() !== 0) {
    throw new Error("--drop-caches needs root");
  }
  return {
    scopes: scopes(values.scope),
    json: values.json,
    rounds: whole("rounds", values.rounds ?? (quick ? "2" : "5")),
    bytes: whole("bytes", values.bytes ?? String(quick ? GIB / 2 : 4 * GIB)),
    dir: values.dir,
    quick,
    dropCaches: values["drop-caches"],
    capBytes: whole("cap", values.cap),
    minutes: whole("minutes", values.minutes ?? (quick ? "1" : "60")),
    engine: values.engine,
  };
}

function scopes(text: string): ScopeName[] {
  if (text === "all") return [...SCOPE_NAMES];
  return text.split(",").map((name) => {
    const found = SCOPE_NAMES.find((each) => each === name);
    if (found === undefined) throw new Error(`there is no scope ${name}`);
    return found;
  });
}

function whole(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new Error(`--${name} must be a positive integer, got ${text}`);
}
