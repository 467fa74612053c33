import { join } from "node:path";
import { expect } from "vitest";
import {
  type ChildOptions,
  type Ended,
  ROOT,
  type Started,
  startProcess,
} from "../helpers/run-child.ts";

/** The built command, as npm installs it. */
export const CLI = join(ROOT, "dist/cli.js");

/** Starts the command. */
export function start(args: readonly string[], options?: ChildOptions): Started {
  return startProcess([process.execPath, CLI, ...args], options);
}

export function prefault(args: readonly string[], options?: ChildOptions): Promise<Ended> {
  return start(args, options).ended;
}

/** The one document on stdout of a run that succeeded. */
export async function document(...args: string[]) {
  const { code, stdout, stderr } = await prefault([...args, "--json"]);
  expect(stderr.replace(/^\[.*\] Pre-fault.*\n/gm, "")).toBe("");
  expect(code).toBe(0);
  return JSON.parse(stdout);
}

/** The document on stdout, whatever the exit status. */
export async function json(args: readonly string[]) {
  const { code, stdout, stderr } = await prefault([...args, "--json"]);
  if (stdout === "") throw new Error(`exit ${code}: ${stderr}`);
  return { code, stderr, document: JSON.parse(stdout) };
}
