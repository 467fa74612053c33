import { Command } from "commander";
import {
  addAfterFlag,
  addBudgetFlags,
  addOutputFlags,
  addSweepFlags,
  type Flags,
} from "../flags.ts";
import { addPlacementFlags, PLACEMENT_TERMS, type PlacementFlags } from "../placement-flags.ts";
import { firstOperand, normalize, wordsOf } from "../words.ts";

/** What the flags of `prefault run` come to. */
export interface RunFlags extends Flags, PlacementFlags {
  readonly lock?: true;
  readonly dryRun?: true;
}

/** `prefault run`, read. */
export interface RunArguments {
  readonly flags: RunFlags;
  /** Files that replace the model of the line. */
  readonly files: readonly string[];
  /** The command to start, with its arguments. */
  readonly line: readonly string[];
}

const NOTES = `
The command runs as it is: its arguments, streams, environment and exit status.
What prefault has to say goes to stderr.

What fits in memory is warmed at once, beside the start. Of a model that does not
fit, the part that a budget has room for is warmed when the engine has read the
model: its own reading would evict what was warmed before.

Examples:
  prefault run -- llama-server -m model.gguf -ngl 20
  prefault run --budget auto --profile auto --lock -- llama-server -m big.gguf
  prefault run model.gguf --cpu-moe -- ./start-my-server.sh`;

/** The command for the parser, and for the help. */
export function runCommand(): Command {
  const command = new Command("run")
    .description("start a server, and warm its model at the right moment")
    .usage("[options] [FILE...] -- COMMAND...")
    .helpOption("-h, --help", "show this help")
    .argument("[FILE...]", "models, for a command that does not name its own");
  addAfterFlag(command);
  addRunFlags(command);
  addBudgetFlags(command);
  addPlacementFlags(command);
  addSweepFlags(command, true);
  addOutputFlags(command, { progress: false });
  return command
    .addHelpText("after", NOTES)
    .configureHelp({ optionTerm: ({ long, flags }) => PLACEMENT_TERMS[long ?? ""] ?? flags });
}

function addRunFlags(command: Command): void {
  command
    .option("--lock", "hold in memory what was warmed, as far as the limit goes")
    .option("--dry-run", "say what would be done and when, and start nothing");
}

/**
 * Reads the arguments after `run`. Without `--`, which npm exec takes for itself, the command begins at the
 * first word that is no flag.
 *
 * @throws {@link CommanderError}
 */
export function readRunArguments(given: readonly string[]): RunArguments {
  const end = given.indexOf("--");
  const command = runCommand()
    .name("prefault run")
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  const words = { ...wordsOf([command]), commands: [] };
  const start = end < 0 ? firstOperand(given, words) : end + 1;
  const own = given.slice(0, end < 0 ? start : end);
  command.parse(normalize(own, words.takesValue), { from: "user" });
  return { flags: command.opts<RunFlags>(), files: command.args, line: given.slice(start) };
}
