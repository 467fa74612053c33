/** Characters of a value that a message shows at most. */
const MOST_CHARACTERS = 120;

/**
 * Shows any value in a message: `"abc"`, `7n`, `[object Date]`. Never throws, whatever the
 * value is: a BigInt, a symbol, a circular object, one whose own methods throw.
 */
export function describeValue(value: unknown): string {
  const text = describeSafely(value);
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text;
}

function describeSafely(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number" || typeof value === "symbol") return String(value);
  if (typeof value === "function") return "a function";
  try {
    const json = JSON.stringify(value, (_, inner) =>
      typeof inner === "bigint" ? `${inner}n` : inner,
    );
    return json ?? String(value);
  } catch {
    // Circular, or it has a `toJSON` of its own that throws.
    return "an object that cannot be shown";
  }
}

/** Name of the system's error in anything that `node:fs` threw, such as `"EACCES"`. */
export function errnoOf(thrown: unknown): string | undefined {
  const code: unknown = (thrown as NodeJS.ErrnoException | null | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

/** The message of anything that was thrown. Never throws itself. */
export function messageOf(thrown: unknown): string {
  try {
    if (thrown instanceof Error) return String(thrown.message);
  } catch {
    // A proxy, or a getter that throws.
  }
  return typeof thrown === "string" ? thrown : describeValue(thrown);
}
