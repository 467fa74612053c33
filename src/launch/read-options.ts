import { PrefaultError } from "../errors.ts";
import type { Environment } from "./command-line.ts";
import { type OptionName, type OptionSpec, type OptionTable, spelling } from "./options.ts";

/** One time that an option was given. */
export interface Given {
  /** For an option without a value `"1"`, or `"0"` for its negation. */
  readonly value: string;
  /** What gave it, for messages: `-ngl`, `LLAMA_ARG_N_GPU_LAYERS`, `[section] n-gpu-layers`. */
  readonly by: string;
  /** The place among all that its source gave: `-ot` before or after `--cpu-moe` is not the same. */
  readonly at: number;
}

/** What one source says: the words, the environment, or a section of a file. */
export type Source = ReadonlyMap<OptionName, readonly Given[]>;

/** What was read from the words of a line. */
export interface ReadWords {
  readonly source: Source;
  /** Words that are no flag, and no value of a flag that is known. */
  readonly positionals: readonly Positional[];
  /** Flags that sound like placement, and are not known. */
  readonly unknown: readonly string[];
}

export interface Positional {
  readonly word: string;
  /** It may be the value of a flag that is not known. */
  readonly isUncertain: boolean;
}

const PLACEMENT_WORD =
  /gpu|offload|cpu|moe|layer|tensor|expert|mmap|mlock|device|vram|repack|buffer/i;

/** Reads the flags of a line. The words before an unknown flag's value are told apart by table. */
export function readWords(args: readonly string[], table: OptionTable): ReadWords {
  const spellings = spellingsOf(table);
  const source = new Map<OptionName, Given[]>();
  const positionals: Positional[] = [];
  const unknown: string[] = [];
  let at = 0;
  while (at < args.length) {
    const word = args[at] ?? "";
    at += 1;
    if (!isFlag(word)) {
      const before = args[at - 2] ?? "";
      positionals.push({ word, isUncertain: isFlag(before) && !before.includes("=") });
      continue;
    }
    const { flag, glued } = splitFlag(word, spellings);
    const known = spellings.get(flag);
    if (known === undefined) {
      if (table.otherValued.has(flag)) at += glued === undefined ? 1 : 0;
      else if (PLACEMENT_WORD.test(flag) && !table.otherBare.has(flag)) unknown.push(flag);
      continue;
    }
    const { name, spec, isOff } = known;
    const given = (value: string) => {
      const list = source.get(name) ?? [];
      list.push({ value, by: flag, at });
      source.set(name, list);
    };
    if (spec.takes === "nothing" || (isOff && spec.takes === "maybe")) {
      const isTrue = glued === undefined || parseBoolean(glued, flag);
      given(isTrue === isOff ? "0" : "1");
    } else if (glued !== undefined) {
      for (const value of listed(glued, spec)) given(value);
    } else if (spec.takes === "maybe") {
      const next = args[at] ?? "";
      if (looksLikeValue(next)) at += 1;
      given(looksLikeValue(next) ? next : spec.alone);
    } else if (spec.takes === "many") {
      for (; at < args.length && !isFlag(args[at] ?? ""); at++) given(args[at] ?? "");
    } else {
      const value = args[at];
      if (value === undefined) throw usage(`${flag} has no value`);
      at += 1;
      const isNegated = isOff && spec.flags.length === 0;
      for (const each of listed(value, spec)) {
        given(isNegated ? (parseBoolean(each, flag) ? "0" : "1") : each);
      }
    }
  }
  return { source, positionals, unknown };
}

/** Reads the variables that mean what flags mean, in the order of the table, as llama.cpp does. */
export function readEnvironment(env: Environment, table: OptionTable): Source {
  const source = new Map<OptionName, Given[]>();
  let at = 0;
  for (const [name, spec] of table.options) {
    const put = (values: readonly string[], by: string) => {
      at += 1;
      if (values.length > 0)
        source.set(
          name,
          values.map((value) => ({ value, by, at })),
        );
    };
    const off = spec.offEnv.find((variable) => env[variable] !== undefined);
    const on = spec.env.find((variable) => (env[variable] ?? "") !== "");
    // For llama.cpp a LLAMA_ARG_NO_… variable means no by being there.
    if (off !== undefined) put(["0"], off);
    else if (on !== undefined) put(fromVariable(env[on] ?? "", on, spec), on);
  }
  return source;
}

/** A variable of a flag without a value counts only when it is true, unless the flag has a negation. */
function fromVariable(text: string, variable: string, spec: OptionSpec): readonly string[] {
  if (spec.takes !== "nothing") return listed(text, spec);
  if (spec.off.length === 0) return TRUE.has(text) ? ["1"] : [];
  return [parseBoolean(text, variable) ? "1" : "0"];
}

/** `LLAMA_ARG_*` variables that sound like placement and are not known. */
export function unknownVariables(env: Environment, table: OptionTable): string[] {
  const known = new Set(
    [...table.options.values()].flatMap((each) => [...each.env, ...each.offEnv]),
  );
  return Object.keys(env).filter((name) => {
    const flag = `--${name
      .replace(/^LLAMA_ARG_(NO_)?/, "")
      .toLowerCase()
      .replaceAll("_", "-")}`;
    const isOther = table.otherValued.has(flag) || table.otherBare.has(flag);
    return /^LLAMA_ARG_/.test(name) && !known.has(name) && !isOther && PLACEMENT_WORD.test(flag);
  });
}

/** Reads keys of a file, which are flags without their dashes, or variables. */
export function readKeys(
  entries: readonly (readonly [key: string, value: string])[],
  table: OptionTable,
  where: string,
): { source: Source; unknown: string[] } {
  const spellings = spellingsOf(table);
  const source = new Map<OptionName, Given[]>();
  const unknown: string[] = [];
  for (const [at, [key, value]] of entries.entries()) {
    const by = `${where} ${key}`;
    const known = [`--${key}`, `-${key}`].map(spelling).flatMap((flag) => {
      const found = spellings.get(flag);
      return found === undefined ? [] : [found];
    })[0];
    const byVariable = [...table.options].find(([, spec]) => spec.env.includes(key));
    if (known === undefined && byVariable === undefined) {
      if (PLACEMENT_WORD.test(key) && !isOtherKey(key, table)) unknown.push(by);
      continue;
    }
    const name = known?.name ?? byVariable?.[0];
    const spec = known?.spec ?? byVariable?.[1];
    if (name === undefined || spec === undefined) continue;
    const isOff = known?.isOff ?? false;
    const values =
      spec.takes === "nothing"
        ? [parseBoolean(value, by) === isOff ? "0" : "1"]
        : listed(value, spec);
    source.set(name, [
      ...(source.get(name) ?? []),
      ...values.map((each) => ({ value: each, by, at })),
    ]);
  }
  return { source, unknown };
}

function isOtherKey(key: string, table: OptionTable): boolean {
  return [`--${key}`, `-${key}`]
    .map(spelling)
    .some((flag) => table.otherValued.has(flag) || table.otherBare.has(flag));
}

const TRUE = new Set(["1", "true", "on", "enabled"]);
const FALSE = new Set(["0", "false", "off", "disabled"]);

/** As llama.cpp reads a boolean, but for capital letters. @throws `PREFAULT_INVALID_OPTION` */
export function parseBoolean(text: string, by: string): boolean {
  const small = text.trim().toLowerCase();
  if (TRUE.has(small)) return true;
  if (FALSE.has(small)) return false;
  throw usage(`${by} is ${JSON.stringify(text)}: it must be 1, true, on, 0, false or off`);
}

/** @throws `PREFAULT_INVALID_OPTION` */
export function parseWhole({ value, by }: Given): number {
  const number = Number(value);
  if (/^[-+]?\d+$/.test(value.trim()) && Number.isSafeInteger(number)) return number;
  throw usage(`${by} is ${JSON.stringify(value)}: it must be a whole number`);
}

export function usage(message: string, cause?: unknown): PrefaultError {
  return new PrefaultError("PREFAULT_INVALID_OPTION", message, { cause });
}

interface Spelled {
  readonly name: OptionName;
  readonly spec: OptionSpec;
  readonly isOff: boolean;
}

function spellingsOf(table: OptionTable): ReadonlyMap<string, Spelled> {
  return new Map<string, Spelled>(
    [...table.options].flatMap(([name, spec]) => [
      ...spec.flags.map((flag) => [flag, { name, spec, isOff: false }] as const),
      ...spec.off.map((flag) => [flag, { name, spec, isOff: true }] as const),
    ]),
  );
}

/** A negative number is no flag. */
function isFlag(word: string): boolean {
  return word.startsWith("-") && word !== "-" && !/^-\d/.test(word);
}

/** `--flag=value` for any long flag, and for a short one that is known: people write `-ngl=20`. */
function splitFlag(word: string, spellings: ReadonlyMap<string, Spelled>) {
  const equals = word.indexOf("=");
  const before = spelling(equals < 0 ? word : word.slice(0, equals));
  if (equals < 0) return { flag: before, glued: undefined };
  if (!word.startsWith("--") && !spellings.has(before)) return { flag: word, glued: undefined };
  return { flag: before, glued: word.slice(equals + 1) };
}

function looksLikeValue(word: string): boolean {
  return /^-?\d+$/.test(word) || TRUE.has(word) || FALSE.has(word) || word === "auto";
}

function listed(value: string, spec: OptionSpec): string[] {
  return spec.takes === "list" ? value.split(",").filter((each) => each !== "") : [value];
}
