const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** A number and its unit stay on one line. */
const NARROW = "\u00a0";

export function formatBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1);
  const value = bytes / 1024 ** power;
  return `${power === 0 ? Math.round(value) : value.toFixed(value < 100 ? 1 : 0)}${NARROW}${UNITS[power]}`;
}

/** Pages are whole, so that what is resident can be a little more than what was asked for. */
export function percent(part: number, whole: number): string {
  const share = whole === 0 ? 1 : Math.min(part / whole, 1);
  // Only what is whole is called whole.
  return `${Math.floor(share * 100)}${NARROW}%`;
}

/** Messages begin in small letters and without a full stop: they are made to stand behind a colon. */
export function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
