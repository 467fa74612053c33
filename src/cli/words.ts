import type { Command } from "commander";

/**
 * llama.cpp's flags of one dash and several letters would be read as bundles of one-letter flags, so
 * they are turned into their long forms before anything is parsed.
 */
const LONG_FORMS: ReadonlyMap<string, string> = new Map([
  ["-ngl", "--n-gpu-layers"],
  ["--gpu-layers", "--n-gpu-layers"],
  ["-cmoe", "--cpu-moe"],
  ["-ncmoe", "--n-cpu-moe"],
  ["-ncffn", "--n-cpu-ffn"],
  ["-ot", "--override-tensor"],
  ["-m", "--model"],
  // Its name before 0.2.
  ["--pass", "--engine"],
]);

/** Flags without a value, which people also write before the command. */
export const SPOKEN_FIRST: ReadonlySet<string> = new Set([
  "--json",
  "--quiet",
  "-q",
  "--no-progress",
]);

/** What of our own command has to be known to divide the arguments. */
export interface OwnWords {
  readonly commands: readonly string[];
  /** Flags whose value may look like anything. */
  readonly takesValue: ReadonlySet<string>;
}

/** What the parser says of commands and their flags. */
export function wordsOf(commands: readonly Command[]): OwnWords {
  const valued = commands.flatMap(({ options }) => options.filter(({ required }) => required));
  const names = valued.flatMap(({ long, short }) => [long, short]).filter((name) => name != null);
  return { commands: commands.map((command) => command.name()), takesValue: new Set(names) };
}

/** Where the first word stands that is neither our command, nor a flag, nor a flag's value. */
export function firstOperand(given: readonly string[], { commands, takesValue }: OwnWords): number {
  let hasCommand = false;
  for (let at = 0; at < given.length; at++) {
    const word = given[at] ?? "";
    if (word.startsWith("-")) {
      if (takesValue.has(longForm(word))) at += 1;
    } else if (!hasCommand && commands.includes(word)) {
      hasCommand = true;
    } else {
      return at;
    }
  }
  return given.length;
}

/** Puts flags that were spoken first behind the command, and turns short forms into long ones. */
export function normalize(words: readonly string[], takesValue: ReadonlySet<string>): string[] {
  const first = words.findIndex((word) => !SPOKEN_FIRST.has(word));
  const given = first > 0 ? [...words.slice(first), ...words.slice(0, first)] : words;
  const normal: string[] = [];
  for (let at = 0; at < given.length; at++) {
    const flag = longForm(given[at] ?? "");
    normal.push(flag);
    // A value is not a flag, whatever it looks like: `-ot -m=CPU`.
    if (takesValue.has(flag) && at + 1 < given.length) normal.push(given[++at] ?? "");
  }
  return normal;
}

/** Also of `-ngl=20`, which llama.cpp does not know and people write all the same. */
function longForm(word: string): string {
  const equals = word.indexOf("=");
  const flag = equals < 0 ? word : word.slice(0, equals);
  // llama.cpp takes underscores for dashes in its long flags.
  const dashed = flag.startsWith("--") ? flag.replaceAll("_", "-") : flag;
  return (LONG_FORMS.get(dashed) ?? dashed) + word.slice(flag.length);
}
