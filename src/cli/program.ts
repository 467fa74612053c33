import { createRequire } from "node:module";
import { Command, CommanderError, Help, type Option } from "commander";
import { KILL_SWITCH } from "../gate.ts";
import { readArguments } from "./argv.ts";
import {
  addAfterFlag,
  addBudgetFlags,
  addKeepFlags,
  addOutputFlags,
  addPidFlag,
  addRecordFlags,
  addSweepFlags,
  type Flags,
} from "./flags.ts";
import { catchInterrupts, type Interrupts } from "./interrupt.ts";
import { addPlacementFlags, PLACEMENT_TERMS, type PlacementFlags } from "./placement-flags.ts";
import { EXIT, failure, printResult, type Result } from "./result.ts";
import { runCommand } from "./run/arguments.ts";
import { asUsageError } from "./usage-error.ts";
import { wordsOf } from "./words.ts";

type Run = (
  files: readonly string[],
  flags: Flags & PlacementFlags,
  signal: AbortSignal,
) => Promise<Result>;

/** Each is loaded when it is given: all of them together take as long to load as Node itself. */
const COMMANDS = {
  warm: async () => (await import("./warm.ts")).warm,
  plan: async () => (await import("./plan.ts")).plan,
  status: async () => (await import("./status.ts")).status,
  keep: async () => (await import("./keep/keep.ts")).keep,
  record: async () => (await import("./record.ts")).record,
  evict: async () => (await import("./evict.ts")).evict,
} satisfies Record<string, () => Promise<Run>>;

type CommandName = keyof typeof COMMANDS;

// Wrapped by the parser's help, to the width of the terminal.
const DESCRIPTION =
  "Reads the weights of a language model that stay on the CPU into the page cache, before the first " +
  "request faults them in page by page, and says how much of them is resident. FILE is a GGUF or " +
  "safetensors model, any shard of a split one, a llamafile, an Ollama manifest, a Modelfile, a " +
  "folder of models, or any other file.";

// Each line is to be understood by itself, and fits 80 columns.
const NOTES = `
Examples:
  prefault model.gguf                     warm the whole file
  prefault model.gguf -ngl 20 --cpu-moe   warm what llama.cpp leaves on the CPU
  prefault plan model.gguf -ngl 20        show what would be warmed, and why
  prefault status model.gguf              show what is resident now
  prefault evict model.gguf               drop the file from the page cache
  prefault keep model.gguf --listen 9100  warm, keep it so, and serve metrics
  prefault run -- llama-server -m model.gguf -ngl 20
                                          start this, warm beside it
  prefault -- llama-server -m model.gguf -ngl 20 -fa on
                                          warm what this line leaves on the CPU
  find . -name '*.gguf' -print0 | xargs -0 prefault warm --
                                          warm every file that find finds

Command lines after --:
  An engine's command line is read, never run.
  Engines: llama.cpp, ik_llama.cpp, llama-bench, koboldcpp, llama-cpp-python,
           llamafile, Ollama's runner.
  The line may begin with docker run, env, sudo and the like.
  LLAMA_ARG_* variables, --models-preset and -hf (in local caches) count too.
  A placement given before -- goes before the line's own.
  Words after -- that are no command line are names of files.

Files called like a command:
  prefault warm plan, or prefault ./plan, warms a file that is called plan.

Environment:
  PREFAULT=0 or ${KILL_SWITCH}=0   never warm, not even if the other is 1
  PREFAULT=1 or ${KILL_SWITCH}=1   warm even what does not fit in memory

Exit status:
  0    done, or skipped because the bytes do not fit in memory
  1    failed, also where one file of several failed
  2    wrong usage
  130  interrupted; 0 where record has written what it saw until then
  0    also when keep is stopped by Ctrl-C or SIGTERM, its usual end`;

const KEEP_NOTES = `
What goes missing is filled again while nobody waits for memory and the engine
reads nothing. The engine is the process of --pid; without it nobody may read.
Where the system does not tell what is resident (Linux tells the owner of a file
and who may write it, Windows nobody), all is filled again from time to time.

--listen PORT listens on 127.0.0.1; 0.0.0.0:PORT is for everybody.
  /metrics   for Prometheus
  /ready     503 until it is warm, then 200

It ends with 0 when it is stopped (Ctrl-C, SIGTERM) or the process of --pid
ends, and with 1 when it cannot go on, such as when a file was replaced. With
PREFAULT=0 it warms nothing, and waits to be stopped: what starts it again
whenever it ends would never rest.

Examples:
  prefault keep model.gguf -ngl 20 --cpu-moe --lock
  prefault keep --budget auto --profile hot.json big.gguf --listen 9100
  prefault keep --pid $(pidof llama-server)`;

/** Runs the command, and sets what this process exits with. The first Ctrl-C is an abort. */
export async function main(given: readonly string[]): Promise<void> {
  const interrupts = catchInterrupts();
  process.exitCode = await runProgram(given, interrupts);
  interrupts.release();
  // A look at the page cache cannot be called off, and a worker may wait for its device: what was
  // interrupted does not wait for either. Output to a pipe may still be under way.
  if (interrupts.signal.aborted) process.stdout.write("", () => process.exit());
}

/** Runs the command with the arguments that follow its name. @returns what to exit with */
export async function runProgram(
  given: readonly string[],
  { signal, exitCodeAfter }: Interrupts,
): Promise<number> {
  // Asked for before anything is parsed: a usage error is a document as well.
  const end = given.indexOf("--");
  const json = given.slice(0, end < 0 ? given.length : end).includes("--json");
  let exitCode: number = EXIT.done;
  let line: readonly string[] | undefined;
  const program = createProgram((name) => async (files, flags) => {
    const run: Run = await COMMANDS[name]();
    const result = await run(files, line ? { ...flags, line } : flags, signal);
    exitCode = exitCodeAfter(printResult(result, json), result);
  });
  try {
    const read = await readArguments(given, wordsOf(program.commands));
    line = read.line;
    await program.parseAsync([...read.own], { from: "user" });
    return exitCode;
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return EXIT.done;
    return exitCodeAfter(printResult(failure(asUsageError(thrown)), json), {});
  }
}

type Action = (files: string[], flags: Flags & PlacementFlags) => Promise<void>;

function createProgram(action: (name: CommandName) => Action): Command {
  const { version } = createRequire(import.meta.url)("prefault/package.json") as {
    version: string;
  };
  const program = new Command("prefault")
    .description(DESCRIPTION)
    .usage("[command] FILE... [placement] [options]")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "show this help")
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .configureHelp({ optionTerm });

  const add = (name: CommandName, summary: string, isDefault = false): Command =>
    program
      .command(name, { isDefault })
      .description(summary)
      .argument("[FILE...]", "models, directories with models, or other files")
      .action(action(name));

  const warming = add("warm", "make what stays on the CPU resident (the default)", true);
  const planning = add("plan", "show what would be warmed, and why");
  const looking = add("status", "show what is resident now, as a map");
  const keeping = add("keep", "warm, and fill again what goes missing, until stopped");
  const recording = add("record", "write down which routed experts an engine uses");
  for (const command of [warming, planning, looking, keeping, recording])
    addPlacementFlags(command);
  addAfterFlag(warming);
  for (const command of [warming, planning, looking, keeping]) addBudgetFlags(command);
  addKeepFlags(keeping);
  for (const command of [keeping, looking]) addPidFlag(command);
  addRecordFlags(recording);
  for (const command of [warming, planning, looking, keeping]) {
    addSweepFlags(command, command === warming || command === keeping);
  }
  const evicting = add("evict", "drop files from the page cache");
  // Else it would suggest flags of other commands.
  evicting.showSuggestionAfterError(false);
  for (const command of [warming, planning, looking, evicting, keeping, recording]) {
    addOutputFlags(command, { progress: command === warming || command === keeping });
  }
  keeping.addHelpText("after", KEEP_NOTES);

  // Handled before this parser is loaded; here for the help.
  program.addCommand(runCommand());

  // The default command's flags are the program's own, as far as a reader is concerned.
  const help = new Help();
  return program.addHelpText("after", NOTES).configureHelp({
    optionTerm,
    visibleOptions: (command) => [
      ...(command === program
        ? help.visibleOptions(warming).filter(({ long }) => long !== "--help")
        : []),
      ...help.visibleOptions(command),
    ],
  });
}

function optionTerm(option: Option): string {
  return PLACEMENT_TERMS[option.long ?? ""] ?? option.flags;
}
