import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

const FOLDER = join(import.meta.dirname, "children");

export interface ScriptOptions {
  /** Node's own, such as `--expose-gc`. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A cgroup's folder for the process to join before it runs. */
  readonly cgroup?: string;
  /** A program that runs the script, with its arguments. */
  readonly before?: readonly string[];
  readonly timeoutMs?: number;
}

export interface ScriptResult<T> {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
  /** What it printed last, as JSON. */
  readonly output: T | undefined;
}

/** Starts a script of `children/` in a process of its own, and gives it its argument as JSON. */
export function startScript(name: string, argument: unknown, options: ScriptOptions): ChildProcess {
  const { flags = [], env = {}, cgroup, before = [], timeoutMs = 120_000 } = options;
  const script = join(FOLDER, `${name}.ts`);
  const node = [
    ...before,
    process.execPath,
    "--import",
    "tsx",
    ...flags,
    script,
    JSON.stringify(argument),
  ];
  const [command = "", ...rest] =
    cgroup === undefined
      ? node
      : ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', cgroup, ...node];
  const { SHARPI_PREFAULT: _, ...inherited } = process.env;
  return spawn(command, rest, {
    env: { ...inherited, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
}

/** Runs it to its end. */
export async function runScript<T>(
  name: string,
  argument: unknown,
  options: ScriptOptions = {},
): Promise<ScriptResult<T>> {
  const child = startScript(name, argument, options);
  const texts = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream]?.setEncoding("utf8").on("data", (text: string) => {
      texts[stream] += text;
    });
  }
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  const last = texts.stdout.trim().split("\n").at(-1) ?? "";
  return { code, signal, stderr: texts.stderr, output: parse<T>(last) };
}

function parse<T>(text: string): T | undefined {
  try {
    return JSON.parse(text) as T;
  } catch {
    return undefined;
  }
}
