import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** Runs a script of `test/fixtures` in a Node of its own, and gives the JSON it prints. */
export async function runFixture<Result>(
  name: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Result> {
  const script = fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--import", "tsx", script, ...args],
    { env: { ...process.env, ...env }, maxBuffer: 2 ** 24, timeout: 170_000 },
  );
  return JSON.parse(stdout) as Result;
}
