import { type Paint, plain, type Style } from "./paint.ts";

interface Shade {
  /** Up to this share. */
  readonly most: number;
  readonly glyph: string;
  readonly style: Style;
}

/** Only what is whole looks whole, and only what is empty looks empty. */
const SHADES: readonly Shade[] = [
  { most: 0, glyph: "·", style: "dim" },
  { most: 1 / 3, glyph: "░", style: "yellow" },
  { most: 2 / 3, glyph: "▒", style: "yellow" },
  { most: 1 - Number.EPSILON, glyph: "▓", style: "yellow" },
  { most: Infinity, glyph: "█", style: "green" },
];

export const LEGEND = "█ resident   ▓ ▒ ░ partly   · not";

/** Shares from 0 to 1 as a glyph a cell. `null`: unknown, the map or a cell of it. */
export function drawMap(shares: readonly (number | null)[] | null, paint: Paint = plain): string {
  if (shares === null) return "unknown";
  // Neighbours of one kind are painted at once, which keeps the line short for a slow terminal.
  let line = "";
  for (let at = 0; at < shares.length; ) {
    const shade = shadeOf(shares[at]);
    let end = at + 1;
    while (end < shares.length && shadeOf(shares[end]) === shade) end++;
    line +=
      shade === undefined ? "?".repeat(end - at) : paint(shade.style, shade.glyph.repeat(end - at));
    at = end;
  }
  return line;
}

function shadeOf(share: number | null | undefined): Shade | undefined {
  if (share === null || share === undefined) return undefined;
  return SHADES.find(({ most }) => share <= most);
}
