import { CommanderError } from "commander";
import { messageOf } from "../../describe.ts";
import { PrefaultError } from "../../errors.ts";
import { disabledReason } from "../../kill-switch.ts";
import { failure as failureOf, printResult } from "../result.ts";
import { printable } from "../text.ts";
import { asUsageError } from "../usage-error.ts";
import { type RunArguments, readRunArguments } from "./arguments.ts";
import { Bystander } from "./bystander.ts";
import { passSignalsOn, type Witness } from "./signals.ts";
import { endLike, startCommand } from "./start-command.ts";
import { WarmingProcess } from "./warming-process.ts";

/**
 * `prefault run`: starts a command, and a process beside it that warms. The command comes first, before
 * anything that takes time to load; whatever goes wrong with warming, it runs on.
 *
 * Sets what this process exits with.
 */
export async function run(given: readonly string[]): Promise<void> {
  let read: RunArguments;
  try {
    read = readRunArguments(given);
    // Also of a variable that is not set: -- "$SERVER".
    if (!read.line[0]) throw noCommand();
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return;
    const end = given.indexOf("--");
    const isJson = given.slice(0, end < 0 ? given.length : end).includes("--json");
    process.exitCode = printResult(failureOf(asUsageError(thrown)), isJson);
    return;
  }
  if (read.flags.dryRun === true) {
    const { dryRun } = await import("./dry-run.ts");
    process.exitCode = await dryRun(read);
    return;
  }
  const { child, failure, ended } = startCommand(read.line);
  const warming = new WarmingProcess();
  const bystander = new Bystander();
  const witness: Witness = {
    sawWithin: (...asked) => warming.sawWithin(...asked) ?? bystander.sawWithin(...asked),
  };
  const release = child === undefined ? () => {} : passSignalsOn(child, witness);
  const failed = await failure;
  if (failed !== null) {
    release();
    say(failed.message);
    process.exitCode = failed.code;
    return;
  }
  const disabled = disabledReason();
  if (disabled === undefined) {
    try {
      warming.start({ ...read, pid: child?.pid ?? -1 }, () => bystander.start());
    } catch (error) {
      // Where no process can be started, the command runs on.
      bystander.start();
      say(`nothing is warmed: ${messageOf(error)}`);
    }
  } else {
    bystander.start();
    if (read.flags.quiet !== true) say(`warming is ${disabled}`);
  }
  const ending = await ended;
  bystander.end();
  await warming.end();
  release();
  endLike(ending);
}

function say(message: string): void {
  process.stderr.write(`prefault: ${printable(message)}\n`);
}

function noCommand(): PrefaultError {
  const message = "no command given: prefault run [options] -- COMMAND...";
  return new PrefaultError("PREFAULT_INVALID_OPTION", message);
}
