import type { CommandLine } from "./command-line.ts";
import type { EngineName } from "./engines.ts";
import type { LaunchContext } from "./launch.ts";
import type { LocalFiles } from "./local-files.ts";
import type { OptionTable } from "./options.ts";
import type { Environment } from "./shell-words.ts";

/** The state of reading a line, for all steps. */
export interface Reading {
  readonly line: CommandLine;
  readonly context: LaunchContext;
  readonly engine: EngineName;
  readonly table: OptionTable;
  readonly files: LocalFiles;
  /** Variables that the line itself sets. */
  readonly ownEnv: Environment;
  readonly notes: string[];
}

/** Adds a note for each unknown option whose name may concern placement. */
export function noteUnknown({ notes }: Reading, names: readonly string[]): void {
  for (const name of names) {
    notes.push(`${name} is unknown: if it decides where weights go, the plan is wrong`);
  }
}
