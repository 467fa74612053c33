import type { Table } from "./bench-tables.ts";
import { UNIT, type Unit, unitNamed } from "./units.ts";

/** A number in a sentence or in a cell. */
export interface Figure {
  /** Such as `1,820 ms`. */
  readonly shown: string;
  readonly index: number;
  readonly value: number;
  /** Behind the decimal point. */
  readonly digits: number;
  /** `undefined` for a bare number, as the first of `1.70 here, and there 2.27 GiB/s`. */
  readonly unit: Unit | undefined;
}

const NUMBER = "\\d+(?:,\\d{3})*(?:\\.\\d+)?";
/** Both numbers of `10 to 20 ms` have the unit. */
const RANGE = `(?:(?:\\s+(?:to|and|or)\\s+|–)${NUMBER})?`;
/** A version such as `6.18.44` or `v20.20` is no figure, and a name such as `Q4_0` is none. */
const FIGURE = new RegExp(
  `(?<![\\w.,])(${NUMBER})(?!\\d|[.,]\\d)(?:(?=${RANGE}\\s*(${UNIT}))|(?!\\w))`,
  "g",
);

export function figuresOf(text: string): Figure[] {
  return [...text.matchAll(FIGURE)].map(({ index, 1: number = "", 2: unit = "" }) => ({
    shown: [number, unit.replace(/\s+/g, " ")].filter(Boolean).join(" "),
    index,
    value: Number(number.replaceAll(",", "")),
    digits: number.split(".")[1]?.length ?? 0,
    unit: unitNamed(unit),
  }));
}

/** Whether only a measurement gives such a figure. Whole seconds and sizes are mostly settings. */
export function isMeasured({ digits, unit }: Figure): boolean {
  if (unit?.kind === "time") return digits > 0 || unit.of < 1;
  return unit?.kind === "rate" || unit?.kind === "tokens" || unit?.kind === "ratio";
}

/** Whether a figure has to be in the tables that its text names. Whole sizes and numbers are settings there too. */
export function isTraced(figure: Figure): boolean {
  return figure.digits > 0 || figure.unit?.kind === "time" || isMeasured(figure);
}

/** What the tables have of a figure's kind, in its unit. */
function valuesFor({ unit }: Figure, tables: readonly Table[]): number[] {
  const columns = tables.flatMap((table) => table.columns);
  if (unit === undefined) return columns.flatMap(({ medians }) => medians);
  const values = columns
    .filter((column) => column.unit.kind === unit.kind)
    .flatMap((column) => column.medians.map((median) => (median * column.unit.of) / unit.of));
  return unit.kind === "ratio" ? [...values, ...tables.flatMap(quotientsOf)] : values;
}

/** Of any two medians of a column that has a unit: how many times one is the other. */
function quotientsOf({ columns }: Table): number[] {
  return columns
    .filter(({ unit }) => unit.kind !== "ratio")
    .flatMap(({ medians }) => medians.flatMap((one) => medians.map((other) => one / other)))
    .filter(Number.isFinite);
}

/** The value of the tables that comes closest to a figure. */
export function nearest(figure: Figure, tables: readonly Table[]): number | undefined {
  const distance = (value: number) => Math.abs(value - figure.value);
  return valuesFor(figure, tables).sort((one, other) => distance(one) - distance(other))[0];
}

/** Whether a value, rounded to the digits that a figure shows, is this figure. */
export function roundsTo(value: number, figure: Figure): boolean {
  // A cell is rounded itself, so half a digit may have been rounded either way.
  return Math.abs(value - figure.value) <= 0.5 * 10 ** -figure.digits * (1 + 1e-9);
}
