import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import type { TensorOverride } from "../passes/index.ts";
import { parseOverrides } from "../passes/index.ts";
import { LLAMA } from "./llama-options.ts";
import type { OptionName } from "./options.ts";
import type { Settings } from "./settings.ts";
import type { Environment } from "./shell-words.ts";
import { splitShellWords } from "./shell-words.ts";

/** The placement that llama.cpp would choose for a model now. */
export interface Fit {
  /** Negative: all. */
  readonly gpuLayers: number;
  readonly overrides: readonly TensorOverride[];
}

const NAME = "llama-fit-params";
/** It reads the header and asks the devices, which takes some seconds. A device may hang. */
const LIMIT_MS = 60_000;

/** Options that change how much memory of the devices is left for weights. */
const HANDED_ON: readonly OptionName[] = [
  "ctx",
  "batch",
  "ubatch",
  "flashAttn",
  "cacheTypeK",
  "cacheTypeV",
  "device",
  "splitMode",
  "tensorSplit",
  "mainGpu",
  "fitTarget",
  "fitCtx",
];

/** Finds llama.cpp's `llama-fit-params`: beside the engine's program, or on `PATH`. */
export async function findFitParams(
  program: string,
  env: Environment,
): Promise<string | undefined> {
  const folders = [
    ...(/[/\\]/.test(program) ? [dirname(program)] : []),
    ...(env["PATH"] ?? "").split(delimiter).filter(Boolean),
  ];
  for (const folder of folders) {
    for (const name of [NAME, `${NAME}.exe`]) {
      const path = join(folder, name);
      if (await isExecutable(path)) return path;
    }
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** The arguments of `llama-fit-params` for a model with the settings of a line. */
export function fitArguments(model: string, settings: Settings): string[] {
  const args = ["-m", model];
  for (const name of HANDED_ON) {
    const value = settings.text(name);
    const flag = LLAMA.options.get(name)?.flags.at(-1);
    if (value === undefined || flag === undefined) continue;
    args.push(flag, name === "flashAttn" && value === "1" ? "on" : value);
  }
  if (settings.isOn("kvOffload") === false) args.push("--no-kv-offload");
  return args;
}

/**
 * Runs `llama-fit-params`.
 *
 * @returns the placement, or a sentence on why there is none
 */
export async function askFitParams(
  tool: string,
  args: readonly string[],
  env: Environment,
  signal?: AbortSignal,
): Promise<Fit | string> {
  const ran = await new Promise<{ output: string; failure: string | undefined }>((resolve) => {
    const options = {
      env: env as NodeJS.ProcessEnv,
      timeout: LIMIT_MS,
      killSignal: "SIGKILL" as const,
      maxBuffer: 2 ** 24,
      windowsHide: true,
      ...(signal && { signal }),
    };
    execFile(tool, args, options, (error, stdout, stderr) => {
      const last = stderr.trim().split("\n").at(-1) ?? "";
      const why = error?.killed ? `no answer after ${LIMIT_MS / 1000} s` : last || error?.message;
      resolve({ output: stdout, failure: error === null ? undefined : why });
    });
  });
  signal?.throwIfAborted();
  const fit = ran.failure === undefined ? parseFit(ran.output) : undefined;
  return fit ?? `${tool} failed: ${ran.failure ?? "it printed no -ngl"}`;
}

/** Reads `-c 4096 -ngl 20 -ts 3,1 -ot "…"`, which may follow lines of a log. */
export function parseFit(output: string): Fit | undefined {
  const line = output.split(/\r?\n/).findLast((each) => /(^|\s)-ngl\s+-?\d+/.test(each));
  if (line === undefined) return undefined;
  const words = splitShellWords(line.slice(line.search(/-(c|ngl)\s/)))[0] ?? [];
  const after = (flag: string) => {
    const at = words.indexOf(flag);
    return at < 0 ? undefined : words[at + 1];
  };
  const gpuLayers = Number(after("-ngl"));
  if (!Number.isSafeInteger(gpuLayers)) return undefined;
  // Taken from the line as it is: the words of a shell lose the backslashes of a regex.
  const quoted = /-ot\s+"([^"]*)"/.exec(line)?.[1] ?? /-ot\s+(\S+)/.exec(line)?.[1];
  const overrides = quoted === undefined ? [] : parseOverrides(quoted);
  return {
    gpuLayers,
    overrides: overrides.map((each) => ({ ...each, unmatched: "note" as const })),
  };
}
