import { type CommandLine, readCommandLine } from "./command-line.ts";
import type { EngineName } from "./engines.ts";
import { parseWhole, usage } from "./given.ts";
import type { Launch, LaunchContext, LaunchPart } from "./launch.ts";
import { isOfIk, LLAMA } from "./llama-options.ts";
import { loadNotes } from "./load-notes.ts";
import { readLoads } from "./loads.ts";
import { LocalFiles } from "./local-files.ts";
import type { OptionTable } from "./options.ts";
import { BENCH, KOBOLDCPP, LLAMA_CPP_PYTHON, LLAMAFILE, OLLAMA, RUN } from "./other-options.ts";
import { leftOver, partsOf } from "./parts.ts";
import { readEnvironment, unknownVariables } from "./read-environment.ts";
import { readWords } from "./read-words.ts";
import { noteUnknown, type Reading } from "./reading.ts";
import { Settings } from "./settings.ts";

const TABLES: Readonly<Record<EngineName, OptionTable>> = {
  "llama.cpp": LLAMA,
  "ik_llama.cpp": LLAMA,
  "llama-bench": BENCH,
  "llama-run": RUN,
  koboldcpp: KOBOLDCPP,
  "llama-cpp-python": LLAMA_CPP_PYTHON,
  llamafile: LLAMAFILE,
  ollama: OLLAMA,
};

/**
 * Reads a command line of an engine: which files it loads, and which tensors stay on the CPU.
 *
 * Reads presets and caches from the file system, and runs `llama-fit-params`, where it is installed, for a
 * number of layers that the line leaves to the engine.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` for a line that cannot be read or lacks a number
 *   that must be known, `PREFAULT_NOT_FOUND` for a model that is in no local cache
 */
export async function readLaunch(
  words: readonly string[],
  context: LaunchContext,
): Promise<Launch> {
  const line = readCommandLine(words, context.env);
  if (line === undefined) {
    throw usage("the words after -- are neither a command line of a known engine nor a file");
  }
  const isIk = line.engine === "llama.cpp" && isOfIk(line.args);
  const engine = isIk ? "ik_llama.cpp" : line.engine;
  const files = new LocalFiles(line);
  const ownEnv = await ownEnvironment(line, files);
  return read({ line, context, engine, table: TABLES[engine], files, ownEnv, notes: [] });
}

async function read(reading: Reading): Promise<Launch> {
  const { line, context, engine, table, ownEnv, notes } = reading;
  const { program } = line;
  if (line.isGuess && program !== "") {
    notes.push(`${program} is not known: its flags are read as those of llama.cpp`);
  }
  const given = readWords(argumentsOf(engine, line), table);
  const inherited = line.hidesEnvironment ? {} : context.env;
  noteUnknown(reading, [...given.unknown, ...unknownVariables({ ...inherited, ...ownEnv }, table)]);
  const settings = new Settings([
    given.source,
    readEnvironment(ownEnv, table),
    readEnvironment(inherited, table),
  ]);
  const loads = await readLoads(reading, settings);
  const parts: LaunchPart[] = [];
  for (const load of loads) {
    parts.push(...(await partsOf(reading, load, given.positionals, loads)));
  }
  parts.push(...(await leftOver(reading, given.positionals, parts)));
  notes.push(...loads.flatMap((load) => loadNotes(engine, load.settings)));
  const first = loads[0]?.settings ?? settings;
  const port = first.last("port");
  return {
    engine,
    program,
    parts,
    notes: [...new Set(notes)],
    host: first.text("host"),
    port: port && parseWhole(port),
    apiPrefix: first.text("apiPrefix"),
    warmsUp: first.isOn("warmup") ?? true,
    defersExperts: first.isOn("deferExperts") ?? false,
  };
}

function argumentsOf(engine: EngineName, { args }: CommandLine): readonly string[] {
  if (engine !== "ollama") return args;
  if (args[0] === "runner") return args.slice(1);
  throw usage(
    "ollama's own command line does not name the model: give the model file, or the line of the runner " +
      'that ps shows ("ollama runner --model … --n-gpu-layers …")',
  );
}

/** The variables of the line and of its files of variables. Those of the line are stronger. */
async function ownEnvironment(
  line: CommandLine,
  files: LocalFiles,
): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const path of line.envFiles) {
    for (const text of (await files.text(path)).split(/\r?\n/)) {
      const entry = /^\s*([A-Za-z_]\w*)=(.*)$/.exec(text);
      if (entry !== null) found[entry[1] ?? ""] = entry[2] ?? "";
    }
  }
  return { ...found, ...line.env };
}
