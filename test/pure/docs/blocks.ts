/** A paragraph, a list or a table of a page: what has no empty line in it. */
export interface Block {
  /** Where it begins, counted from 1. */
  readonly line: number;
  /** Without code and comments; every line and every column is where it was. */
  readonly text: string;
  /** What `<!-- figures: … -->` above it names, as it stands there. */
  readonly sources: readonly string[] | undefined;
}

const MARKER = /^\s*<!-- figures: (.+) -->$/;
const FENCE = /^ *```[\s\S]*?^ *```$/gm;
const NOT_PROSE = /<!--[\s\S]*?-->|`[^`]+`/g;

/** Blanks in place of a text, so that lines can still be counted. */
export const blank = (text: string): string => text.replace(/[^\n]/g, " ");

export function blocksOf(page: string): Block[] {
  const blocks: { line: number; lines: string[]; sources: string[] | undefined }[] = [];
  let open = false;
  for (const [at, text] of page.replace(FENCE, blank).split("\n").entries()) {
    const marker = MARKER.exec(text)?.[1];
    // A comma in brackets is part of a title.
    const sources = marker?.split(/,\s*(?![^(]*\))/);
    const isEmpty = text.trim() === "";
    if (!isEmpty && (!open || sources)) blocks.push({ line: at + 1, lines: [], sources });
    if (!isEmpty) blocks.at(-1)?.lines.push(text);
    open = !isEmpty;
  }
  return blocks.map(({ line, lines, sources }) => {
    return { line, text: lines.join("\n").replace(NOT_PROSE, blank), sources };
  });
}
