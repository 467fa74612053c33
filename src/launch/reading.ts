import type { CommandLine, Environment } from "./command-line.ts";
import type { EngineName } from "./engines.ts";
import type { LaunchContext } from "./launch.ts";
import type { LocalFiles } from "./local-files.ts";
import type { OptionTable } from "./options.ts";

/** A line while it is read: what all steps need, and the notes that they leave. */
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

/** Says what sounds like placement and is not understood: it is never dropped in silence. */
export function noteUnknown({ notes }: Reading, names: readonly string[]): void {
  for (const name of names) {
    notes.push(`${name} is not known here: if it decides where weights go, the plan misses it`);
  }
}
