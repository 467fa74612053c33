/** Environment variables. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The words of one command of a line. */
export type Words = readonly string[];

const WHITESPACE = /[ \t\r\n]/;
/** Operators that end a command, at the start of a word. */
const SEPARATOR = /^(?:&&|\|\||;;?|\|&?|&(?!>))/;
/** A redirection, without its file. */
const REDIRECTION = /^(?:\d*|&)(?:>>?|<)(?:&\d+|&-)?(?:\|)?/;

/**
 * Splits text into the commands and words that a POSIX shell sees: quotes, backslashes, continued
 * lines, comments, `~` and `$NAME` of the given environment. Operators count at the start of a word
 * only, so that an unquoted regex of a systemd unit stays whole. Nothing is run and no file is read.
 */
export function splitShellWords(text: string, env: Environment = {}): Words[] {
  const commands: string[][] = [[]];
  let at = 0;
  let skipNext = false;

  const push = (word: string) => {
    if (skipNext) skipNext = false;
    else commands.at(-1)?.push(word);
  };

  while (at < text.length) {
    const rest = text.slice(at);
    const char = text[at] ?? "";
    const continued = /^\\\r?\n/.exec(rest)?.[0];
    if (WHITESPACE.test(char)) {
      // An unquoted end of a line also ends a command.
      if (char === "\n" && (commands.at(-1)?.length ?? 0) > 0) commands.push([]);
      at += 1;
      continue;
    }
    if (continued !== undefined) {
      at += continued.length;
      continue;
    }
    if (char === "#") {
      const end = text.indexOf("\n", at);
      at = end < 0 ? text.length : end;
      continue;
    }
    const separator = SEPARATOR.exec(rest)?.[0];
    if (separator !== undefined) {
      commands.push([]);
      at += separator.length;
      continue;
    }
    const redirection = REDIRECTION.exec(rest)?.[0];
    if (redirection !== undefined && /[<>]/.test(redirection)) {
      at += redirection.length;
      if (/&[\d-]/.test(redirection)) continue;
      skipNext = true;
      continue;
    }
    const { word, end, endsCommand } = readWord(text, at, env);
    push(word);
    if (endsCommand) commands.push([]);
    at = end;
  }
  return commands.filter((words) => words.length > 0);
}

function readWord(
  text: string,
  start: number,
  env: Environment,
): { word: string; end: number; endsCommand: boolean } {
  let word = "";
  let at = start;
  if (/^~(?=\/|$|\s)/.test(text.slice(at, at + 2)) && env["HOME"] !== undefined) {
    word = env["HOME"];
    at += 1;
  }
  while (at < text.length) {
    const char = text[at] ?? "";
    if (WHITESPACE.test(char)) break;
    if (char === "'") {
      const end = closing(text, "'", at + 1);
      word += text.slice(at + 1, end);
      at = end + 1;
    } else if (char === '"') {
      at += 1;
      while (at < text.length && text[at] !== '"') {
        if (text[at] === "\\" && /["\\$`\n]/.test(text[at + 1] ?? "")) {
          if (text[at + 1] !== "\n") word += text[at + 1];
          at += 2;
        } else if (text[at] === "$") {
          const { value, end } = variable(text, at, env);
          word += value;
          at = end;
        } else {
          word += text[at];
          at += 1;
        }
      }
      at += 1;
    } else if (char === "\\") {
      if (text[at + 1] !== "\n") word += text[at + 1] ?? "";
      at += 2;
    } else if (char === "$") {
      const { value, end } = variable(text, at, env);
      word += value;
      at = end;
    } else if (char === ";" && /^;+(?:\s|$)/.test(text.slice(at))) {
      return { word, end: at + 1, endsCommand: true };
    } else {
      word += char;
      at += 1;
    }
  }
  return { word, end: at, endsCommand: false };
}

/** The end of a quotation: an unclosed quote ends with the text. */
function closing(text: string, quote: string, from: number): number {
  const end = text.indexOf(quote, from);
  return end < 0 ? text.length : end;
}

/** The value of a variable. An unset variable stays as it is written, so that messages name it. */
function variable(text: string, at: number, env: Environment): { value: string; end: number } {
  const found = /^\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))/.exec(text.slice(at));
  if (found === null) return { value: "$", end: at + 1 };
  const value = env[found[1] ?? found[2] ?? ""] ?? found[0];
  return { value, end: at + found[0].length };
}
