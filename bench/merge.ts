import { type BenchResult, type Check, type ScopeResult, wasMeasured } from "./result.ts";

/**
 * The scopes of several runs as if of one: each table and each figure to be reached as the last run
 * that measured it has it, so that a single scope can be run again.
 */
export function mergeScopes(results: readonly BenchResult[]): ScopeResult[] {
  const merged = new Map<string, ScopeResult>();
  for (const later of results.flatMap((result) => result.scopes)) {
    const earlier = merged.get(later.scope);
    const tables = latest(earlier?.tables ?? [], later.tables, (table) => table.id, wasMeasured);
    const checks = latest(earlier?.checks ?? [], later.checks, (check) => check.what, hasValue);
    merged.set(later.scope, { ...later, tables, checks });
  }
  return [...merged.values()];
}

function hasValue({ value }: Check): boolean {
  return value !== null;
}

function latest<T>(
  earlier: readonly T[],
  later: readonly T[],
  key: (each: T) => string,
  counts: (each: T) => boolean,
): T[] {
  const found = new Map(earlier.map((each) => [key(each), each]));
  for (const each of later) {
    if (counts(each) || !found.has(key(each))) found.set(key(each), each);
  }
  return [...found.values()];
}
