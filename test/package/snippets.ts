import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "./run.ts";

/** A fenced block of a Markdown page. */
export interface Snippet {
  /** Such as `docs/guides/quick-start.md:12`. */
  readonly where: string;
  readonly language: string;
  /** What follows the language: `engine`, or `from=` a file that has the block in it. */
  readonly info: string;
  readonly text: string;
}

const FENCE = /^```(\w*) *(.*)\n([\s\S]*?)^```$/gm;

export function snippetsOf(page: string): Snippet[] {
  const markdown = readFileSync(join(ROOT, page), "utf8");
  return [...markdown.matchAll(FENCE)].map(
    ({ index, 1: language = "", 2: info = "", 3: text = "" }) => {
      const line = markdown.slice(0, index).split("\n").length;
      return { where: `${page}:${line}`, language, info: info.trim(), text };
    },
  );
}

/** One command of a `console` block, with what the page shows it to print. */
export interface Session {
  readonly command: string;
  readonly shown: readonly string[];
}

export function sessionsOf({ text }: Snippet): Session[] {
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const [command = "", ...shown] = part.trimEnd().split("\n");
      return { command, shown };
    });
}

/**
 * Lines without what differs from run to run and from machine to machine: numbers, units, and how
 * many blanks align them.
 */
function shape(line: string): string {
  return line
    .replace(/\d[\d.,]*/g, "#")
    .replace(/# ([KMGT]i)?B\b/g, "# B")
    .replace(/< # %/g, "# %")
    .replace(/[█▓▒░·]{2,}/g, "█")
    .replace(/\s+/g, " ")
    .trim();
}

/** What of the shown lines was not printed, in this order. A line `…` stands for any lines. */
export function notPrinted(shown: readonly string[], printed: string): string[] {
  const lines = printed.split("\n").map(shape);
  const missing: string[] = [];
  let at = 0;
  for (const line of shown) {
    if (line.trim() === "…" || line.trim() === "") continue;
    const found = lines.indexOf(shape(line), at);
    if (found < 0) missing.push(line);
    else at = found + 1;
  }
  return missing;
}
