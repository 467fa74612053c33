/**
 * How a model's routers choose. Counts are by layers, and in each by experts.
 */

/** The experts of each layer that one token used, in ascending order. */
export type Selection = readonly (readonly number[])[];

export interface Routing {
  readonly tokens: number;
  /** Share of the selections that went to the quarter of each layer's experts most used in them. */
  readonly topQuarter: number;
  /**
   * The same, the quarter taken from other tokens' counts: few tokens make even a uniform router look
   * skewed when it is ranked by the very tokens it is judged by.
   */
  readonly topQuarterForeseen: number;
  /** Share of a token's experts that the token before it used too. */
  readonly reuse: number;
  /** Experts used at least once, of all. */
  readonly distinct: number;
  readonly experts: number;
  /** Gini coefficient of a layer's counts, mean over layers: 0 all equal, near 1 all on one expert. */
  readonly gini: number;
  readonly topQuarterByLayer: readonly number[];
}

/** @param runs selections of consecutive tokens; reuse is not counted across runs */
export function describeRouting(
  runs: readonly (readonly Selection[])[],
  experts: number,
  foreseen: readonly (readonly number[])[],
): Routing {
  const tokens = runs.flat();
  const counts = countSelections(tokens, experts);
  const quarter = Math.round(experts / 4);
  const ownOrder = counts.map(descending);
  return {
    tokens: tokens.length,
    topQuarter: coverage(counts, ownOrder, quarter),
    topQuarterForeseen: coverage(counts, foreseen.map(descending), quarter),
    reuse: mean(runs.flatMap(reuses)),
    distinct: counts.flat().filter((count) => count > 0).length,
    experts: counts.length * experts,
    gini: mean(counts.map(gini)),
    topQuarterByLayer: counts.map((layer, index) =>
      coverage([layer], [ownOrder[index] ?? []], quarter),
    ),
  };
}

export function countSelections(tokens: readonly Selection[], experts: number): number[][] {
  const layers = tokens[0]?.length ?? 0;
  const counts = Array.from({ length: layers }, () => new Array<number>(experts).fill(0));
  for (const token of tokens) {
    token.forEach((used, layer) => {
      const row = counts[layer];
      if (row !== undefined) for (const expert of used) row[expert] = (row[expert] ?? 0) + 1;
    });
  }
  return counts;
}

/** Share of all counts that the first `most` experts of each layer's order got. */
function coverage(
  counts: readonly (readonly number[])[],
  orders: readonly (readonly number[])[],
  most: number,
): number {
  const covered = counts.map((layer, index) =>
    sum((orders[index] ?? []).slice(0, most).map((expert) => layer[expert] ?? 0)),
  );
  return sum(covered) / sum(counts.map(sum));
}

function descending(counts: readonly number[]): number[] {
  return [...counts.keys()].sort((a, b) => (counts[b] ?? 0) - (counts[a] ?? 0));
}

/** One for each layer of each token but the first. */
function reuses(run: readonly Selection[]): number[] {
  return run.slice(1).flatMap((token, index) =>
    token.map((used, layer) => {
      const before = new Set(run[index]?.[layer]);
      return used.filter((expert) => before.has(expert)).length / used.length;
    }),
  );
}

function gini(counts: readonly number[]): number {
  const ascending = [...counts].sort((a, b) => a - b);
  const weighted = sum(ascending.map((count, index) => (index + 1) * count));
  const n = counts.length;
  return (2 * weighted) / (n * sum(counts)) - (n + 1) / n;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
