/** What a figure is a figure of. Two of one kind can be compared. */
export interface Unit {
  readonly kind: "time" | "rate" | "size" | "tokens" | "share" | "ratio";
  /** How many of the kind's base unit it is. */
  readonly of: number;
}

/** A column of a bench's table without a unit, and what a page writes as `1.5 times`. */
export const RATIO: Unit = { kind: "ratio", of: 1 };

const SECOND: Unit = { kind: "time", of: 1 };
const MILLISECOND: Unit = { kind: "time", of: 1e-3 };

/** As the titles of the benches' columns have them. */
const SYMBOLS: Readonly<Record<string, Unit>> = {
  "GiB/s": { kind: "rate", of: 1024 },
  "MiB/s": { kind: "rate", of: 1 },
  GiB: { kind: "size", of: 1024 ** 2 },
  MiB: { kind: "size", of: 1024 },
  KiB: { kind: "size", of: 1 },
  "tokens a second": { kind: "tokens", of: 1 },
  "%": { kind: "share", of: 1 },
  ms: MILLISECOND,
  ns: { kind: "time", of: 1e-9 },
  s: SECOND,
};

/** As sentences have them besides. */
const WORDS: Readonly<Record<string, Unit>> = {
  milliseconds: MILLISECOND,
  millisecond: MILLISECOND,
  seconds: SECOND,
  second: SECOND,
  "tokens per second": { kind: "tokens", of: 1 },
  times: RATIO,
};

const ALL = { ...SYMBOLS, ...WORDS };

/** Of any of the names, as a whole. Blanks may be line breaks. */
const anyOf = (names: readonly string[]) =>
  `(?:${names.join("|").replaceAll(" ", "\\s+")})(?![\\w/])`;

const IN_TITLE = new RegExp(`(?<![\\w'])${anyOf(Object.keys(SYMBOLS))}`);

/** The source of a regular expression: a unit after a number. */
export const UNIT = anyOf(Object.keys(ALL));

export function unitNamed(name: string): Unit | undefined {
  return ALL[name.replace(/\s+/g, " ")];
}

/** Of `first token, ms` it is milliseconds, of `minor faults` nothing but a number. */
export function unitOfTitle(title: string): Unit {
  return unitNamed(IN_TITLE.exec(title)?.[0] ?? "") ?? RATIO;
}
