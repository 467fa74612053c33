import { type SpawnOptions, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The built command, as npm installs it. */
export const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts the command with pipes for its output. The kill switch is not inherited. */
export function start(args: readonly string[], options: SpawnOptions = {}): Started {
  const { SHARPI_PREFAULT: _, ...inherited } = process.env;
  const child = spawn(process.execPath, [CLI, ...args], {
    ...options,
    env: { ...inherited, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  child.stdout?.setEncoding("utf8").on("data", (text) => (output.stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text) => (output.stderr += text));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, ...output }));
  });
  return { pid: child.pid ?? -1, ended, kill: (signal) => child.kill(signal) };
}

export function prefault(args: readonly string[], options: SpawnOptions = {}): Promise<Ended> {
  return start(args, options).ended;
}
