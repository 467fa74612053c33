import { join } from "node:path";
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
