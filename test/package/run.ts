import { type ChildOptions, type Ended, ROOT, runProcess } from "../helpers/run-child.ts";

export { type Ended, ROOT };

/** Runs a command to its end, whatever that is; -1 stands for one that could not be started. */
export function run(
  command: string,
  args: readonly string[],
  options: ChildOptions = {},
): Promise<Ended> {
  return runProcess([command, ...args], { timeoutMs: 240_000, ...options }).catch((error) => {
    return { code: -1, signal: null, stdout: "", stderr: String(error) };
  });
}

/** The same for Node itself. */
export function runNode(args: readonly string[], options?: ChildOptions): Promise<Ended> {
  return run(process.execPath, args, options);
}

/** @throws with everything it said, when it did not exit with 0 */
export async function runOrThrow(
  command: string,
  args: readonly string[],
  options?: ChildOptions,
): Promise<string> {
  const { code, signal, stdout, stderr } = await run(command, args, options);
  if (code === 0) return stdout;
  throw new Error(`${command} ${args.join(" ")} ended with ${code ?? signal}:\n${stdout}${stderr}`);
}
