import { type ChildOptions, type Ended, runScript as run } from "../helpers/run-child.ts";

/** Runs a script of `children/` in a process of its own, with its argument as JSON. */
export function runScript(name: string, argument: unknown, options?: ChildOptions): Promise<Ended> {
  return run(new URL(`children/${name}.ts`, import.meta.url), [JSON.stringify(argument)], options);
}
