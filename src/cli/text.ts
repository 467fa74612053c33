/** What a terminal would act on instead of showing it: control characters and direction marks. */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu;

/** Text from a file name or a header, made guarded: it is a stranger's. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (found) => (/^\s+$/.test(found) ? " " : "\ufffd"));
}

/** A share as a percentage with one decimal; only all of it is 100, only nothing is 0. */
export function percent(part: number, whole: number): string {
  const share = whole > 0 ? Math.min(part / whole, 1) : 1;
  const tenths = Math.round(share * 1000);
  if (share < 1 && tenths === 1000) return "99.9 %";
  if (share > 0 && tenths === 0) return "< 0.1 %";
  return `${(tenths / 10).toFixed(1)} %`;
}

/** "1 tensor", "2 tensors". */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/**
 * Lays rows out in columns. The first is left-aligned, the others right-aligned, but for what stands
 * after the last column that every row has: that is left as it is, colours and all.
 */
export function columns(rows: readonly (readonly string[])[], aligned: number): string[] {
  const widths = Array.from({ length: aligned }, (_, column) =>
    rows.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), 0),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join("  ")
      .trimEnd(),
  );
}

/** That residency is unknown, and the usual reason (mm/mincore.c, `can_do_mincore`). */
export const UNTOLD =
  "the system does not say how much is resident (Linux tells the owner of a file, and who may write it)";
