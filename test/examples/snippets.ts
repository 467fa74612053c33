import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../package/run.ts";

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

/**
 * What differs between the shown lines and the printed ones: `-` a shown line that was not printed
 * there, `+` a printed one that is not shown. A line `…` stands for any lines.
 */
export function differences(shown: readonly string[], printed: string): string[] {
  const isSaid = (line: string) => line.trim() !== "";
  const lines = printed.split("\n").filter(isSaid);
  const different: string[] = [];
  let at = 0;
  let maySkip = false;
  for (const line of shown.filter(isSaid)) {
    if (line.trim() === "…") {
      maySkip = true;
      continue;
    }
    const found = lines.findIndex((each, index) => index >= at && shape(each) === shape(line));
    if (found < 0) {
      different.push(`- ${line}`);
      continue;
    }
    if (!maySkip) different.push(...lines.slice(at, found).map((each) => `+ ${each}`));
    at = found + 1;
    maySkip = false;
  }
  if (!maySkip) different.push(...lines.slice(at).map((each) => `+ ${each}`));
  return different;
}
