import { ASSIGNMENT, beforeProgram, collect } from "./before-program.ts";
import { type Container, isContainerTool, type Mount, readContainer } from "./containers.ts";
import { type EngineName, engineOfImage, programAt, programName } from "./engines.ts";
import { type Environment, splitShellWords } from "./shell-words.ts";

/** A command line of an engine, with prefixes and container options taken apart. */
export interface CommandLine {
  readonly engine: EngineName;
  /** As it was written, or the name of the image. */
  readonly program: string;
  /** The program is unknown: its flags are read as llama.cpp's. */
  readonly isGuess: boolean;
  readonly args: readonly string[];
  /** Variables that the line sets: `A=B program`, `env A=B`, `-e A=B`. */
  readonly env: Readonly<Record<string, string>>;
  /** Files of variables, which are weaker than `env`. */
  readonly envFiles: readonly string[];
  /** The engine does not get the caller's environment: in a container, and under `env -i`. */
  readonly hidesEnvironment: boolean;
  readonly mounts: readonly Mount[];
  /** The folder of relative paths, when the line sets it. */
  readonly folder: string | undefined;
}

const MODEL_FLAG =
  /^(-m|--model|-hf|-hfr|--hf-repo|-mu|--model-url|-dr|--docker-repo|--models-preset|--models-dir|--config|--config_file)(=|$)|^LLAMA_ARG_(MODEL|HF_REPO|MODELS_PRESET)=/;
/** Programs that start another program. */
const PREFIX =
  /^(sudo|doas|env|nohup|nice|ionice|chrt|numactl|taskset|systemd-run|setsid|time|timeout|stdbuf|exec|command|caffeinate|python[\d.]*|py|uv|uvx|conda|mamba|poetry|pipenv|srun|screen|tmux|sh|bash|zsh|dash|strace|prime-run|gamemoderun|apptainer|singularity|toolbox|distrobox)$/;

/**
 * Whether words are a command line of an engine and not names of files: they begin with a known program,
 * or with assignments or prefixes before one, or they are one word with such a line.
 */
export function startsCommand(words: readonly string[], env: Environment): boolean {
  const first = words[0] ?? "";
  if (/^ExecStart=/.test(first)) return true;
  if (words.length === 1 && /\s/.test(first)) {
    return splitShellWords(first, env).some((command) => startsCommand(command, env));
  }
  if (programAt(words, 0) !== undefined) return true;
  const isPrefix = ASSIGNMENT.test(first) || PREFIX.test(programName(first));
  return isContainerTool(first)
    ? readContainer(words, env) !== undefined
    : isPrefix && readCommandLine(words, env)?.isGuess === false;
}

/** Whether some word names the model. */
export function namesModel(words: readonly string[]): boolean {
  return words.some((word) => MODEL_FLAG.test(word));
}

/**
 * Finds the engine in a command line, and reads the words before it.
 *
 * @returns `undefined` for words without an engine
 */
export function readCommandLine(
  given: readonly string[],
  env: Environment,
): CommandLine | undefined {
  const [first = "", ...rest] = given;
  // The line of a systemd unit, with the prefixes that may stand before the program.
  const words = /^ExecStart=/.test(first)
    ? [first.replace(/^ExecStart=[-@:+!|]*/, ""), ...rest].filter((word) => word !== "")
    : given;
  if (words.length === 1 && /\s/.test(words[0] ?? "")) return readText(words[0] ?? "", env);
  return readWords(words, env);
}

/** Reads one word with a whole line, of which one command starts the engine. */
function readText(text: string, env: Environment): CommandLine | undefined {
  let folder: string | undefined;
  const exported: Record<string, string> = {};
  let guess: CommandLine | undefined;
  for (const command of splitShellWords(text.replace(/^\s*[$#]\s+/, ""), env)) {
    const [verb, target] = command;
    if (verb === "cd" && target !== undefined) {
      folder = target;
    } else if (verb === "export" || command.every((word) => ASSIGNMENT.test(word))) {
      collect(exported, command);
    } else {
      const found = readCommandLine(command, env);
      if (found === undefined) continue;
      const placed = {
        ...found,
        env: { ...exported, ...found.env },
        folder: found.folder ?? folder,
      };
      if (!found.isGuess) return placed;
      guess ??= placed;
    }
  }
  return guess;
}

function readWords(words: readonly string[], env: Environment): CommandLine | undefined {
  const start = words.findIndex((word, at) => isContainerTool(word) || isProgram(words, at, env));
  if (start < 0) return guessed(words);
  if (isContainerTool(words[start] ?? "")) {
    const container = readContainer(words.slice(start), env);
    if (container !== undefined) return inContainer(container, env);
  }
  const at = programIndex(words, start, env);
  const before = beforeProgram(words.slice(0, at));
  const word = words[at] ?? "";
  if (/\s/.test(word)) {
    const inner = readText(word, env);
    return inner && { ...inner, env: { ...before.env, ...inner.env } };
  }
  const found = programAt(words, at);
  if (found === undefined) return guessed(words);
  const args = words.slice(found.next);
  return { ...before, engine: found.engine, program: found.program, isGuess: false, args };
}

/**
 * The index of the program among words that look like one. The value of a flag is skipped if another word
 * follows: in `systemd-run -u llama-server llama-server …` the first is the name of a unit.
 */
function programIndex(words: readonly string[], start: number, env: Environment): number {
  for (let at = start; at < words.length; at++) {
    const before = words[at - 1] ?? "";
    const isValue = /^-[^-]|^--[^=]+$/.test(before) && !/^-l?c$|^-m$/.test(before);
    if (!isValue && isProgram(words, at, env)) return at;
  }
  return start;
}

function isProgram(words: readonly string[], at: number, env: Environment): boolean {
  const word = words[at];
  if (word === undefined) return false;
  if (programAt(words, at) !== undefined) return true;
  return (
    /\s/.test(word) && splitShellWords(word, env).some((command) => startsCommand(command, env))
  );
}

/** Reads an unknown program, or arguments alone, as llama.cpp's if they name a model. */
function guessed(words: readonly string[]): CommandLine | undefined {
  if (!namesModel(words)) return undefined;
  const flagsAt = words.findIndex((word) => word.startsWith("-"));
  const at = flagsAt < 0 ? words.length : flagsAt;
  const before = beforeProgram(words.slice(0, at));
  const program = words.slice(0, at).findLast((word) => !ASSIGNMENT.test(word)) ?? "";
  return { ...before, engine: "llama.cpp", program, isGuess: true, args: words.slice(at) };
}

function inContainer(container: Container, callerEnv: Environment): CommandLine | undefined {
  const { image, entrypoint, envFiles, mounts, folder } = container;
  const words = entrypoint === undefined ? container.words : [entrypoint, ...container.words];
  const outer = { envFiles, hidesEnvironment: true, mounts, folder };
  const inner = startsCommand(words, callerEnv) ? readCommandLine(words, callerEnv) : undefined;
  if (inner !== undefined) {
    return { ...inner, ...outer, env: { ...container.env, ...inner.env } };
  }
  const engine = engineOfImage(image);
  const isFull = engine === "llama.cpp" && /:full/.test(image);
  const args = isFull ? withoutTool(words) : words;
  const known = { ...outer, program: image, env: container.env };
  if (engine !== undefined) {
    const isBench = isFull && /^(--bench|-b)$/.test(words[0] ?? "");
    return { ...known, engine: isBench ? "llama-bench" : engine, isGuess: false, args };
  }
  if (!namesModel([...words, ...Object.entries(container.env).map(([k, v]) => `${k}=${v}`)])) {
    return undefined;
  }
  return { ...known, engine: "llama.cpp", isGuess: true, args };
}

/** The first argument of llama.cpp's `full` image is the tool to run. */
function withoutTool(words: readonly string[]): readonly string[] {
  const isTool = /^(--server|-s|--run|-r|--run-legacy|-l|--bench|-b|--perplexity|-p)$/;
  return isTool.test(words[0] ?? "") && words.length > 1 ? words.slice(1) : words;
}
