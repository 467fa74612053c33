import {
  type Container,
  isContainerTool,
  type Mount,
  readContainer,
  volumeOf,
} from "./containers.ts";
import { type EngineName, engineOfImage, programAt, programName } from "./engines.ts";
import { splitShellWords } from "./shell-words.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** A command line, without what stands around the engine's own arguments. */
export interface CommandLine {
  readonly engine: EngineName;
  /** As it was written, or the name of the image. */
  readonly program: string;
  /** It is no program that is known: its flags are taken to be llama.cpp's. */
  readonly isGuess: boolean;
  readonly args: readonly string[];
  /** Assignments of the line: `A=B program`, `env A=B`, `-e A=B`. */
  readonly env: Readonly<Record<string, string>>;
  /** Files of assignments, weaker than `env`. */
  readonly envFiles: readonly string[];
  /** A container sees of the caller's environment only what the line hands on; so does `env -i`. */
  readonly hidesEnvironment: boolean;
  readonly mounts: readonly Mount[];
  /** Where relative paths begin, when the line says so. */
  readonly folder: string | undefined;
}

const ASSIGNMENT = /^[A-Za-z_]\w*=/;
const MODEL_FLAG =
  /^(-m|--model|-hf|-hfr|--hf-repo|-mu|--model-url|-dr|--docker-repo|--models-preset|--models-dir|--config|--config_file)(=|$)|^LLAMA_ARG_(MODEL|HF_REPO|MODELS_PRESET)=/;
/** What people write before a program. */
const PREFIX =
  /^(sudo|doas|env|nohup|nice|ionice|chrt|numactl|taskset|systemd-run|setsid|time|timeout|stdbuf|exec|command|caffeinate|python[\d.]*|py|uv|uvx|conda|mamba|poetry|pipenv|srun|screen|tmux|sh|bash|zsh|dash|strace|prime-run|gamemoderun|apptainer|singularity|toolbox|distrobox)$/;

/**
 * Whether words are a command line of an engine rather than names of files: they begin with a known
 * program, with assignments or prefixes before one, or they are one word that holds such a line.
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

/** Whether some word says which model is loaded. */
export function namesModel(words: readonly string[]): boolean {
  return words.some((word) => MODEL_FLAG.test(word));
}

/**
 * Finds the engine in a command line, and what the words before it say.
 *
 * @returns `undefined` for words without any
 */
export function readCommandLine(
  given: readonly string[],
  env: Environment,
): CommandLine | undefined {
  const [first = "", ...rest] = given;
  // As a systemd unit has it, with the marks that may stand before the program.
  const words = /^ExecStart=/.test(first)
    ? [first.replace(/^ExecStart=[-@:+!|]*/, ""), ...rest].filter((word) => word !== "")
    : given;
  if (words.length === 1 && /\s/.test(words[0] ?? "")) return readText(words[0] ?? "", env);
  return readWords(words, env);
}

/** A whole line in one word, of which one command starts the engine. */
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
 * The program among words that look like one: `systemd-run -u llama-server llama-server …` has it as
 * the name of a unit first. The value of a flag counts only where nothing else does: `sudo -E …`.
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

/** A program that is not known, or arguments alone: read as llama.cpp's if they name a model. */
function guessed(words: readonly string[]): CommandLine | undefined {
  if (!namesModel(words)) return undefined;
  const flagsAt = words.findIndex((word) => word.startsWith("-"));
  const at = flagsAt < 0 ? words.length : flagsAt;
  const before = beforeProgram(words.slice(0, at));
  const program = words.slice(0, at).findLast((word) => !ASSIGNMENT.test(word)) ?? "";
  return { ...before, engine: "llama.cpp", program, isGuess: true, args: words.slice(at) };
}

/** Assignments and mounts of the words that stand before a program. */
function beforeProgram(words: readonly string[]) {
  const env: Record<string, string> = {};
  const mounts: Mount[] = [];
  collect(env, words);
  words.forEach((word, at) => {
    const next = words[at + 1] ?? "";
    if (/^(-B|--bind|-v|--volume)$/.test(word)) mounts.push(...volumeOf(next));
    if (/^--(setenv|env)=/.test(word)) collect(env, [word.replace(/^--(setenv|env)=/, "")]);
  });
  const isEmptied = words.some((word) => programName(word) === "env") && words.includes("-i");
  return { env, envFiles: [], hidesEnvironment: isEmptied, mounts, folder: undefined };
}

function collect(env: Record<string, string>, words: readonly string[]): void {
  for (const word of words) {
    const equals = word.indexOf("=");
    if (ASSIGNMENT.test(word)) env[word.slice(0, equals)] = word.slice(equals + 1);
  }
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

/** llama.cpp's `full` image is told by its first argument which tool to run. */
function withoutTool(words: readonly string[]): readonly string[] {
  const isTool = /^(--server|-s|--run|-r|--run-legacy|-l|--bench|-b|--perplexity|-p)$/;
  return isTool.test(words[0] ?? "") && words.length > 1 ? words.slice(1) : words;
}
