import {
  type ChildOptions,
  type Ended,
  runScript as run,
  type Started,
  startScript as startFile,
} from "../helpers/run-child.ts";

const fileOf = (name: string) => new URL(`children/${name}.ts`, import.meta.url);

/** Runs a script of `children/` in a process of its own, with its argument as JSON. */
export function runScript(name: string, argument: unknown, options?: ChildOptions): Promise<Ended> {
  return run(fileOf(name), [JSON.stringify(argument)], options);
}

/** Starts one. */
export function startScript(name: string, argument: unknown, options?: ChildOptions): Started {
  return startFile(fileOf(name), [JSON.stringify(argument)], options);
}
