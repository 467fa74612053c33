import { exists } from "../file/exists.ts";
import { namesModel, startsCommand } from "../launch/index.ts";

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
const SPOKEN_FIRST: ReadonlySet<string> = new Set(["--json", "--quiet", "-q", "--no-progress"]);

/** What of our own command has to be known to divide the arguments. */
export interface OwnWords {
  readonly commands: readonly string[];
  /** Flags whose value may look like anything. */
  readonly takesValue: ReadonlySet<string>;
}

/** What was given, in the parts that are read in different ways. */
export interface Arguments {
  /** For the parser of our own flags. */
  readonly own: readonly string[];
  /** An engine's command line, pasted as it is. */
  readonly line: readonly string[] | undefined;
}

/**
 * Divides the arguments. What follows `--` is an engine's command line when it begins like one, and
 * names of files in every other case: `xargs -0 prefault warm --` hands over files.
 */
export async function readArguments(given: readonly string[], words: OwnWords): Promise<Arguments> {
  const { commands, takesValue } = words;
  const end = given.indexOf("--");
  if (end < 0) {
    // npm exec takes the first -- for itself.
    const start = firstOperand(given, words);
    const line = given.slice(start);
    const isLine = startsCommand(line, process.env) && !(await exists(line[0] ?? ""));
    if (!isLine) return { own: normalize(given, takesValue), line: undefined };
    return { own: normalize(given.slice(0, start), takesValue), line };
  }
  const before = given.slice(0, end);
  const after = given.slice(end + 1);
  const [command = ""] = before.filter((word) => !SPOKEN_FIRST.has(word));
  if (await isCommandLine(after, commands.includes(command))) {
    return { own: normalize(before, takesValue), line: after };
  }
  const own = normalize(before, takesValue);
  if (after.length === 0) return { own, line: undefined };
  // Without a command the first file would be taken for one when it is called like it.
  const isNamed = commands.includes(own[0] ?? "");
  return { own: [...(isNamed ? own : ["warm", ...own]), "--", ...after], line: undefined };
}

async function isCommandLine(words: readonly string[], hasCommand: boolean): Promise<boolean> {
  if (words.length === 0) return false;
  const starts = startsCommand(words, process.env);
  // Of words that are all files, those after a command are files, and so is a lone llamafile.
  const isProgram = starts && !hasCommand && !/\.llamafile$/i.test(words[0] ?? "");
  if (!isProgram && (await Promise.all(words.map(exists))).every(Boolean)) return false;
  return starts || (namesModel(words) && !(await exists(words[0] ?? "")));
}

/** Where the first word stands that is neither our command, nor a flag, nor a flag's value. */
function firstOperand(given: readonly string[], { commands, takesValue }: OwnWords): number {
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

function normalize(words: readonly string[], takesValue: ReadonlySet<string>): string[] {
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
