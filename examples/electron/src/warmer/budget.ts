import type { PrefaultOptions } from "prefault";

const UNITS = ["", "k", "m", "g", "t"];

/**
 * What a person writes for a budget as the library's option: `6 GiB`, `512M`, a number of bytes, `auto`,
 * or nothing. What is none of these goes on as it is: the library refuses it, and says what it takes.
 */
export function budgetOf(text: string): PrefaultOptions["budget"] {
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(trimmed) ?? [];
  if (number === undefined) return trimmed as "auto";
  return Math.floor(Number(number) * 1024 ** UNITS.indexOf(unit.toLowerCase()));
}
