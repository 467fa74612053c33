import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { PrefaultError, PrefaultOptions, PrefaultReport } from "prefault";

const CLI = "/app/node_modules/prefault/dist/cli.js";

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly seconds: number;
}

export interface CliOptions {
  /** The folder of a cgroup to join before it starts. */
  readonly cgroup?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly uid?: number;
  /** Killed then. @defaultValue a minute */
  readonly timeoutMs?: number;
  /** Whether it is the first process of a PID namespace, as in a container. @defaultValue `false` */
  readonly first?: boolean;
}

/** A process that was started. */
export interface Started {
  readonly child: ChildProcess;
  /** What it has written so far. */
  readonly output: { readonly stdout: string; readonly stderr: string };
  readonly ended: Promise<Ended>;
}

/** Runs the installed command. */
export function cli(args: readonly string[], options: CliOptions = {}): Promise<Ended> {
  return startCli(args, options).ended;
}

/** Starts the installed command. */
export function startCli(args: readonly string[], options: CliOptions = {}): Started {
  return start(["node", CLI, ...args], options);
}

/** Prefaults a file in a process of its own, which can be killed should it not come back. */
export async function prefaultApart(
  path: string,
  options: Omit<PrefaultOptions, "log">,
  timeoutMs: number,
): Promise<PlainReport> {
  const child = ["node", "/app/child.mjs", path, JSON.stringify(options)];
  const { stdout, stderr, signal } = await start(child, { timeoutMs }).ended;
  if (signal !== null) throw new Error(`it did not come back within ${timeoutMs / 1000} s`);
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout);
}

/** A report as JSON has it. */
export type PlainReport = Omit<PrefaultReport, "error"> & {
  readonly error?: Pick<PrefaultError, "code" | "errno" | "offset" | "message">;
};

/** Starts a program. */
export function start(command: readonly string[], options: CliOptions): Started {
  const { cgroup, env = {}, uid, timeoutMs = 60_000, first = false } = options;
  const apart = first ? ["unshare", "-p", "-f", "--mount-proc", ...command] : command;
  const join = 'echo $$ > "$0/cgroup.procs" && exec "$@"';
  const [name = "", ...rest] = cgroup ? ["sh", "-c", join, cgroup, ...apart] : apart;
  const child = spawn(name, rest, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  const started = performance.now();
  const output = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      output[stream] += text;
    });
  }
  const ended = once(child, "close").then(([code, signal]) => {
    return { code, signal, ...output, seconds: (performance.now() - started) / 1000 };
  });
  return { child, output, ended };
}
