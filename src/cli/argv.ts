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
]);

/** The flags of a llama-server command line that say what is loaded and where it goes. */
const TAKES_VALUE: ReadonlyMap<string, boolean> = new Map([
  ["--n-gpu-layers", true],
  ["--cpu-moe", false],
  ["--n-cpu-moe", true],
  ["--n-cpu-ffn", true],
  ["--override-tensor", true],
  ["--model", true],
]);

/** Flags without a value, which people also write before the command. */
const SPOKEN_FIRST: ReadonlySet<string> = new Set(["--json", "--quiet", "-q", "--no-progress"]);

/**
 * Our own arguments, followed by the flags that matter of a llama-server command line pasted after
 * `--`; as in llama.cpp, the last one wins. Everything else that was pasted is ignored.
 */
export function normalizeArguments(given: readonly string[]): string[] {
  const end = given.indexOf("--");
  if (end < 0) return ours(given);
  return [...ours(given.slice(0, end)), ...pasted(given.slice(end + 1))];
}

function ours(words: readonly string[]): string[] {
  const first = words.findIndex((word) => !SPOKEN_FIRST.has(word));
  const given = first > 0 ? [...words.slice(first), ...words.slice(0, first)] : words;
  const normal: string[] = [];
  for (let at = 0; at < given.length; at++) {
    const flag = longForm(given[at] ?? "");
    normal.push(flag);
    // A value is not a flag, whatever it looks like: `-ot -m=CPU`.
    if (TAKES_VALUE.get(flag) && at + 1 < given.length) normal.push(given[++at] ?? "");
  }
  return normal;
}

function pasted(line: readonly string[]): string[] {
  const found: string[] = [];
  for (let at = 0; at < line.length; at++) {
    const word = longForm(line[at] ?? "");
    const [flag = ""] = word.split("=", 1);
    const takesValue = TAKES_VALUE.get(flag);
    if (takesValue === undefined) continue;
    found.push(word);
    if (takesValue && word === flag && at + 1 < line.length) found.push(line[++at] ?? "");
  }
  return found;
}

/** Also of `-ngl=20`, which llama.cpp does not know and people write all the same. */
function longForm(word: string): string {
  const equals = word.indexOf("=");
  const flag = equals < 0 ? word : word.slice(0, equals);
  // llama.cpp takes underscores for dashes in its long flags.
  const dashed = flag.startsWith("--") ? flag.replaceAll("_", "-") : flag;
  return (LONG_FORMS.get(dashed) ?? dashed) + word.slice(flag.length);
}
