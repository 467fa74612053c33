import { exists } from "../file/exists.ts";
import { namesModel, startsCommand } from "../launch/command-line.ts";
import { firstOperand, normalize, type OwnWords, SPOKEN_FIRST } from "./words.ts";

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
