import { type Command, InvalidArgumentError, Option } from "commander";
import { GATES, type Gate } from "../gate.ts";
import { STRATEGIES, type Strategy } from "../sweep/strategy.ts";

/** What the options of a command come to. Those of placement are in `placement-flags.ts`. */
export interface Flags {
  readonly gate?: Gate;
  readonly workers?: number;
  readonly strategy?: Strategy;
  readonly json?: true;
  readonly quiet?: true;
  readonly progress: boolean;
  /** `-m`, as llama.cpp spells it; counts when no file was given. */
  readonly model?: string;
  /** An engine's command line, pasted behind `--`. */
  readonly line?: readonly string[];
}

/** How a sweep is done. The other commands take them too, so that only one word need be changed. */
export function addSweepFlags(command: Command, shown: boolean): void {
  const flags = [
    new Option("--gate <G>", "when to skip: the bytes exceed 80% of this memory").choices(GATES),
    new Option("--workers <N>", "threads that fill, 1 to 16").argParser(wholeNumber),
    new Option("--strategy <S>", "how pages are filled").choices(STRATEGIES),
  ];
  for (const flag of flags) command.addOption(shown ? flag : flag.hideHelp());
}

/** How a command speaks. */
export function addOutputFlags(command: Command, shown: { progress: boolean }): void {
  const noProgress = new Option("--no-progress", "no progress bar");
  command
    .option("--json", "print one JSON document on stdout, also when it fails")
    .option("-q, --quiet", "print errors and what was asked for, nothing else")
    .addOption(shown.progress ? noProgress : noProgress.hideHelp())
    .addOption(new Option("--model <FILE>").hideHelp());
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (/^-?\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError("it must be a whole number");
}
