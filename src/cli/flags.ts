import { type Command, InvalidArgumentError, Option } from "commander";
import { GATES, type Gate } from "../gate.ts";
import { STRATEGIES, type Strategy } from "../sweep/strategy.ts";
import { MOST_WORKERS } from "../sweep/worker-count.ts";
import { MOST_TIMER_MS } from "../units.ts";
import { type ListenAddress, listenAddress } from "./keep/address.ts";

/** What the options of a command come to. Those of placement are in `placement-flags.ts`. */
export interface Flags {
  readonly gate?: Gate;
  readonly workers?: number;
  readonly strategy?: Strategy;
  readonly budget?: BudgetFlag;
  readonly reserve?: number;
  readonly profile?: string;
  readonly after?: string;
  /** Of `record`. */
  readonly output?: string;
  readonly every?: number;
  readonly for?: number;
  /** Of `keep`. */
  readonly lock?: true;
  readonly listen?: ListenAddress;
  /** Of `keep` and `status`. */
  readonly pid?: number;
  readonly once?: true;
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
    new Option("--workers <N>", `threads that fill, 1 to ${MOST_WORKERS}`).argParser(workers),
    new Option("--strategy <S>", "how pages are filled").choices(STRATEGIES),
  ];
  for (const flag of flags) command.addOption(shown ? flag : flag.hideHelp());
}

function workers(text: string): number {
  const value = wholeNumber(text);
  if (value >= 1 && value <= MOST_WORKERS) return value;
  throw new InvalidArgumentError(`it must be a whole number from 1 to ${MOST_WORKERS}`);
}

/** What a budget is: bytes, a share of what is available now, or what the gate allows. */
export type BudgetFlag = number | { readonly share: number } | "auto";

/** What of a model larger than memory is warmed. */
export function addBudgetFlags(command: Command): void {
  const flags = [
    new Option(
      "--budget <SIZE>",
      "most bytes to make resident: 24GiB, 24G, 512MiB, 60%, or auto",
    ).argParser(budget),
    new Option("--reserve <SIZE>", "bytes to leave for the engine with --budget auto").argParser(
      size,
    ),
    new Option("--profile <FILE>", "which routed experts are used most (imatrix, CSV, JSON)"),
  ];
  for (const flag of flags) command.addOption(flag.helpGroup(BUDGET_GROUP));
}

const BUDGET_GROUP = "For models larger than memory:";

/** When to begin. */
export function addAfterFlag(command: Command): void {
  const flag = new Option("--after <URL>", "warm when this URL answers 200");
  command.addOption(flag.argParser(url));
}

/** Before anything is started: a wrong flag starts nothing. */
function url(text: string): string {
  if (/^https?:/.test(text) && URL.canParse(text)) return text;
  throw new InvalidArgumentError("it must be an http: or https: URL");
}

/** What is recorded, and for how long. */
export function addRecordFlags(command: Command): void {
  command
    .addOption(new Option("-o, --output <PROFILE>", "the file to write"))
    .addOption(
      new Option("--every <TIME>", "time between two looks (default: 30s)").argParser(time),
    )
    .addOption(new Option("--for <TIME>", "how long (default: until Ctrl-C)").argParser(time))
    .option("--once", "look once, and write what is resident now");
}

/** What is kept, how, and who may ask about it. */
export function addKeepFlags(command: Command): void {
  command
    .option("--lock", "hold it in memory, as far as the limit goes")
    .addOption(new Option("--every <TIME>", "time between two looks (default: 2s)").argParser(time))
    .addOption(
      new Option("--listen <ADDR:PORT>", "serve /metrics and /ready there").argParser(
        listenAddress,
      ),
    );
}

/** Whose mapped models are meant. */
export function addPidFlag(command: Command): void {
  command.addOption(
    new Option("--pid <PID>", "the models that this process has mapped (Linux)").argParser(pid),
  );
}

function pid(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError("it must be the number of a process");
}

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

/** `24GiB`, `24G`, `24GB` and `25769803776` are the same. */
export function size(text: string): number {
  const [, number = "", unit = ""] =
    /^(\d+(?:\.\d+)?)\s*(?:([kmgt])(?:i?b)?|b)?$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * (UNITS[unit.toLowerCase()] ?? Number.NaN));
  if (number !== "" && Number.isSafeInteger(bytes)) return bytes;
  throw new InvalidArgumentError("it must be a size such as 24GiB, 512M or a number of bytes");
}

function budget(text: string): BudgetFlag {
  if (text === "auto") return "auto";
  const percent = /^(\d+(?:\.\d+)?)\s*%$/.exec(text)?.[1];
  if (percent === undefined) return size(text);
  const share = Number(percent) / 100;
  if (share > 0 && share <= 1) return { share };
  throw new InvalidArgumentError("a percentage must be above 0 and at most 100");
}

const SECONDS: Readonly<Record<string, number>> = {
  ms: 0.001,
  s: 1,
  "": 1,
  m: 60,
  min: 60,
  h: 3600,
};

/** `30s`, `10m`, `1h`, `500ms`; a bare number means seconds. @returns milliseconds */
function time(text: string): number {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)\s*(ms|s|min|m|h)?$/i.exec(text) ?? [];
  const milliseconds = Number(number) * (SECONDS[unit.toLowerCase()] ?? Number.NaN) * 1000;
  if (number !== "" && milliseconds > 0 && milliseconds <= MOST_TIMER_MS) return milliseconds;
  throw new InvalidArgumentError("it must be a time such as 30s, 10m or 1h");
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

export function count(text: string): number {
  const value = wholeNumber(text);
  if (value >= 0) return value;
  throw new InvalidArgumentError("it must be zero or more");
}
