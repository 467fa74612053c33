import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { childEnvironment } from "./environment.ts";

export const ROOT = join(import.meta.dirname, "../..");

/** How a process ended, and what it wrote. */
export interface Ended {
  /** `null` when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly pid: number;
  /** What it has written so far. */
  readonly output: { readonly stdout: string; readonly stderr: string };
  /** Rejects when the program could not be started. */
  readonly ended: Promise<Ended>;
  kill(signal: NodeJS.Signals): void;
}

export interface ChildOptions {
  /** @defaultValue the package's root, from which its name can be imported */
  readonly cwd?: string;
  /** Besides what is inherited; {@link childEnvironment} says what is not. */
  readonly env?: NodeJS.ProcessEnv;
  /** A cgroup's folder for the process to join before it runs. Linux only. */
  readonly cgroup?: string;
  readonly uid?: number;
  /** A program that runs the command, with its arguments. */
  readonly before?: readonly string[];
  /** Node's own, such as `--expose-gc`. */
  readonly flags?: readonly string[];
  /** It is killed after so long. @defaultValue two minutes */
  readonly timeoutMs?: number;
}

/** Starts a process: every test that starts one does it by this. */
export function startProcess(command: readonly string[], options: ChildOptions = {}): Started {
  const { cwd = ROOT, env, cgroup, uid, before = [], timeoutMs = 120_000 } = options;
  const [program = "", ...args] = [
    ...(cgroup === undefined
      ? []
      : ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', cgroup]),
    ...before,
    ...command,
  ];
  const child = spawn(program, args, {
    cwd,
    env: childEnvironment(env),
    stdio: ["ignore", "pipe", "pipe"],
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  const output = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      output[stream] += text;
    });
  }
  const ended = once(child, "close").then(([code, signal]) => ({ code, signal, ...output }));
  return { pid: child.pid ?? -1, output, ended, kill: (signal) => void child.kill(signal) };
}

/** Runs a process to its end, whatever that is. */
export function runProcess(command: readonly string[], options?: ChildOptions): Promise<Ended> {
  return startProcess(command, options).ended;
}

/** Runs the text of an ES module in a Node of its own. It can import the package by name. */
export function runChild(
  script: string,
  args: readonly string[] = [],
  options: ChildOptions = {},
): Promise<Ended> {
  return startChild(script, args, options).ended;
}

/** Starts one. */
export function startChild(
  script: string,
  args: readonly string[] = [],
  options: ChildOptions = {},
): Started {
  const { flags = [] } = options;
  const node = [process.execPath, ...flags, "--input-type=module", "-e", script, ...args];
  return startProcess(node, options);
}

/** Runs a TypeScript file of the tests in a Node of its own. */
export function runScript(
  file: URL,
  args?: readonly string[],
  options?: ChildOptions,
): Promise<Ended> {
  return startScript(file, args, options).ended;
}

/** Starts one. */
export function startScript(
  file: URL,
  args: readonly string[] = [],
  options: ChildOptions = {},
): Started {
  const { flags = [] } = options;
  const script = fileURLToPath(file);
  return startProcess([process.execPath, ...flags, "--import", "tsx", script, ...args], options);
}

/** Runs a script of `test/fixtures`, and gives the JSON it prints. */
export async function runFixture<Result>(
  name: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  before: ChildOptions["before"] = [],
): Promise<Result> {
  const file = new URL(`../fixtures/${name}`, import.meta.url);
  return parseOutput<Result>(await runScript(file, args, { env, before, timeoutMs: 170_000 }));
}

/**
 * The JSON that a process printed last.
 *
 * @throws with all that it said when it printed none, or did not end with 0
 */
export function parseOutput<Result>({ stdout, stderr, code, signal }: Ended): Result {
  try {
    if (code === 0) return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Result;
  } catch {
    // Said below.
  }
  throw new Error(`no JSON from the child (code ${code}, signal ${signal}): ${stdout}${stderr}`);
}
