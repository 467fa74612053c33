const GIB = 1024 ** 3;

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** Bytes as GiB with two decimals, as the log line and the gate's reasons show them. */
export function gib(bytes: number): string {
  return `${(bytes / GIB).toFixed(2)} GiB`;
}

/** GiB per second, or 0 when no time passed. */
export function gibPerSecond(bytes: number, seconds: number): number {
  return seconds > 0 ? bytes / GIB / seconds : 0;
}

/** Bytes in the largest unit in which the number is at least 1: `512 B`, `31.9 MiB`. */
export function formatBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1);
  const value = bytes / 1024 ** power;
  return `${power === 0 ? value : value.toFixed(value < 100 ? 2 : 1)} ${UNITS[power]}`;
}

/** The sum of counts; `null` if one of them is unknown. */
export function sumKnown(counts: readonly (number | null)[]): number | null {
  return counts.reduce((sum, count) => (sum === null || count === null ? null : sum + count), 0);
}

/** Milliseconds that a timer of Node can wait; a longer one fires at once. */
export const MOST_TIMER_MS = 2 ** 31 - 1;
