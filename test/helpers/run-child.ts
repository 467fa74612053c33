import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");

/** How a child process ended, and what it wrote. */
export interface ChildResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ChildOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** A cgroup's folder for the child to join before it runs. */
  readonly cgroup?: string;
  readonly uid?: number;
}

/**
 * Runs an ES module's text in a process of its own, from the package's root, so that it can import
 * the package by name. A child that does not end by itself is killed after a minute and a half.
 */
export async function runChild(
  script: string,
  args: readonly string[] = [],
  { env = {}, cgroup, uid }: ChildOptions = {},
): Promise<ChildResult> {
  const node = [process.execPath, "--input-type=module", "-e", script, ...args];
  const [command = "", ...rest] =
    cgroup === undefined
      ? node
      : ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', cgroup, ...node];
  const child = spawn(command, rest, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 90_000,
    killSignal: "SIGKILL",
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output.stderr += text;
  });
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return { code, signal, ...output };
}

/** The JSON a child printed; what it said on stderr when it printed none. */
export function parseOutput<T>({ stdout, stderr, code, signal }: ChildResult): T {
  try {
    return JSON.parse(stdout) as T;
  } catch {
    throw new Error(`no JSON from the child (code ${code}, signal ${signal}): ${stdout}${stderr}`);
  }
}
