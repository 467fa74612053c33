import type { Machine } from "./machine.ts";
import type { ScopeName, Settings } from "./settings.ts";

/** What one run of one contender measured, by metric. */
export type Sample = Readonly<Record<string, number>>;

/** One contender: every sample is kept, in the order of the rounds. */
export interface Row {
  readonly name: string;
  readonly samples: readonly Sample[];
  /** Why it did not run. */
  readonly skipped?: string;
}

/** A metric as a column of a table. */
export interface Column {
  readonly key: string;
  readonly title: string;
  /** @defaultValue `2` */
  readonly digits?: number;
}

/** Contenders that ran side by side. The first column is the one that is plotted. */
export interface Table {
  readonly id: string;
  readonly title: string;
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
  /** Whether more of the first column is better. */
  readonly moreIsBetter: boolean;
  /** The metric that tells when a sample was taken, where the samples are looks at one run: it is plotted over that. */
  readonly over?: Omit<Column, "digits">;
}

/** Whether any contender of a table ran. */
export function wasMeasured({ rows }: Table): boolean {
  return rows.some(({ samples }) => samples.length > 0);
}

/** A figure that was to be reached. */
export interface Check {
  readonly what: string;
  /** `null` when a contender it needs did not run. */
  readonly value: number | null;
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface ScopeOutcome {
  readonly tables: readonly Table[];
  readonly checks: readonly Check[];
}

export interface ScopeResult extends ScopeOutcome {
  readonly scope: ScopeName;
  readonly compares: string;
  readonly wrongWhen: readonly string[];
  readonly seconds: number;
}

/** What `--json` writes. */
export interface BenchResult {
  readonly startedAt: string;
  readonly settings: Settings;
  readonly machine: Machine;
  readonly scopes: readonly ScopeResult[];
}

/** The middle one, or the mean of the two in the middle; `NaN` of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] ?? Number.NaN;
  const high = sorted[Math.floor(middle)] ?? Number.NaN;
  return (low + high) / 2;
}

export function valuesOf(row: Row | undefined, key: string): number[] {
  return row?.samples.flatMap((sample) => sample[key] ?? []) ?? [];
}

/** The median of a contender's metric; `null` when it did not run. */
export function medianOf(rows: readonly Row[], name: string, key: string): number | null {
  const values = valuesOf(
    rows.find((row) => row.name === name),
    key,
  );
  return values.length === 0 ? null : median(values);
}

export function ratio(above: number | null, below: number | null): number | null {
  return above === null || below === null || below === 0 ? null : above / below;
}

export function reached({ value, atLeast, atMost }: Check): boolean | null {
  if (value === null) return null;
  return value >= (atLeast ?? -Infinity) && value <= (atMost ?? Infinity);
}
