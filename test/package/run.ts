import { execFile } from "node:child_process";
import { join } from "node:path";

export const ROOT = join(import.meta.dirname, "../..");

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Runs a command to its end, whatever that is. The kill switch is not inherited. */
export function run(
  command: string,
  args: readonly string[],
  { cwd = ROOT, env = {} }: RunOptions = {},
): Promise<Ran> {
  const { SHARPI_PREFAULT: _, NODE_OPTIONS: __, ...inherited } = process.env;
  return new Promise((resolve) => {
    const options = {
      cwd,
      env: { ...inherited, ...env },
      timeout: 240_000,
      maxBuffer: 64 * 1024 ** 2,
    };
    execFile(command, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      resolve({ code, stdout, stderr: stderr === "" && error ? String(error) : stderr });
    });
  });
}

/** The same for Node itself. */
export function runNode(args: readonly string[], options?: RunOptions): Promise<Ran> {
  return run(process.execPath, args, options);
}

/** @throws with everything it said, when it did not exit with 0 */
export async function runOrThrow(
  command: string,
  args: readonly string[],
  options?: RunOptions,
): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, options);
  if (code === 0) return stdout;
  throw new Error(`${command} ${args.join(" ")} exited with ${code}:\n${stdout}${stderr}`);
}
