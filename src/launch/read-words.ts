import { FALSE, type Given, listed, parseBoolean, type Source, TRUE, usage } from "./given.ts";
import { type OptionName, type OptionTable, spelling } from "./options.ts";
import { PLACEMENT_WORD, type Spelled, spellingsOf } from "./spellings.ts";

/** The options in the words of a command line. */
export interface ReadWords {
  readonly source: Source;
  /** Words that are neither flags nor values of known flags. */
  readonly positionals: readonly Positional[];
  /** Unknown flags whose names may concern placement. */
  readonly unknown: readonly string[];
}

/** A word that is neither a flag nor the value of a known flag. */
export interface Positional {
  readonly word: string;
  /** It follows an unknown flag, so that it may be its value. */
  readonly isUncertain: boolean;
}

/** Reads the flags of a command line by the table of its engine. @throws `PREFAULT_INVALID_OPTION` */
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
