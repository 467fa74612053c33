import { spawn } from "node:child_process";
import { bundle } from "./bundle.ts";

/** The built command, relative to the package's folder. */
export const CLI = "dist/cli.js";

export interface RunOptions {
  /** A `cgroup.procs` file: the process and its children are put there before it starts. */
  readonly cgroup?: string | undefined;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Finished {
  readonly stdout: string;
  /** From just before the process was made to its exit. */
  readonly seconds: number;
}

/** Runs a program to its end. @throws Error with its stderr when it fails */
export function runProgram(
  command: string,
  args: readonly string[],
  { cgroup, env }: RunOptions = {},
): Promise<Finished> {
  // The shell joins the group and then becomes the program: nothing runs outside the group.
  const [program, ...rest] =
    cgroup === undefined
      ? [command, ...args]
      : ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', cgroup, command, ...args];
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const child = spawn(program ?? command, rest, { env: { ...process.env, ...env } });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (data: Buffer) => {
      stdout += data;
    });
    child.stderr.on("data", (data: Buffer) => {
      stderr += data;
    });
    child.once("error", reject);
    let seconds = 0;
    child.once("exit", () => {
      seconds = (performance.now() - started) / 1000;
    });
    child.once("close", (code, signal) => {
      if (code === 0) resolve({ stdout, seconds });
      else reject(new Error(`${command} ended with ${code ?? signal}: ${stderr.slice(-2000)}`));
    });
  });
}

/** Runs one of `bench/children` in a Node of its own; what it prints last is its result. */
export async function runChild<T>(
  name: string,
  task: unknown,
  options: RunOptions = {},
): Promise<{ result: T; seconds: number }> {
  const args = [await bundle(`bench/children/${name}.ts`), JSON.stringify(task)];
  const { stdout, seconds } = await runProgram(process.execPath, args, options);
  const last = stdout.trimEnd().split("\n").at(-1) ?? "";
  return { result: JSON.parse(last) as T, seconds };
}

/** Whether a program can be found. */
export async function isInstalled(program: string): Promise<boolean> {
  try {
    await runProgram("/bin/sh", ["-c", 'command -v "$0"', program]);
    return true;
  } catch {
    return false;
  }
}
