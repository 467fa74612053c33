import { seeded } from "./decode-ranges.ts";

/** Which experts a token uses: for each layer so many different ones. */
export interface ZipfRouter {
  /** Draws the next token's experts, by layers. */
  next(): number[][];
}

export interface ZipfOptions {
  readonly layers: number;
  readonly experts: number;
  /** Different experts a token uses in each layer. */
  readonly used: number;
  /** The expert of rank r is drawn with a weight of 1 / r^s. 0 makes all alike. */
  readonly s: number;
  /**
   * Which experts are popular. Two routers of one seed and different draws have the same popularity:
   * one makes the profile, the other the tokens that are timed.
   */
  readonly seed: number;
  readonly draws: number;
}

/** Draws experts by Zipf's law. Every layer ranks its experts in an order of its own. */
export function zipfRouter({ layers, experts, used, s, seed, draws }: ZipfOptions): ZipfRouter {
  if (used > experts) throw new RangeError(`${used} of ${experts} experts cannot be used`);
  const ranking = seeded(seed);
  const orders = Array.from({ length: layers }, () => shuffled(experts, ranking));
  const random = seeded(Math.imul(draws, 0x9e3779b1) ^ seed);
  const weights = Array.from({ length: experts }, (_, rank) => (rank + 1) ** -s);
  return {
    next: () =>
      orders.map((order) => withoutReturn(weights, used, random).map((rank) => order[rank] ?? 0)),
  };
}

/** Counts what so many tokens use: weights of a profile, by layers and experts. */
export function countTokens(router: ZipfRouter, tokens: number, experts: number): number[][] {
  const counts = router.next().map(() => new Array<number>(experts).fill(0));
  for (let token = 0; token < tokens; token++) {
    router.next().forEach((used, layer) => {
      const row = counts[layer];
      if (row !== undefined) for (const expert of used) row[expert] = (row[expert] ?? 0) + 1;
    });
  }
  return counts;
}

function withoutReturn(weights: readonly number[], count: number, random: () => number): number[] {
  const left = [...weights];
  return Array.from({ length: count }, () => {
    const rank = weightedIndex(left, random());
    left[rank] = 0;
    return rank;
  });
}

/** @param share from 0 up to 1 of all weights: the index it falls on */
function weightedIndex(weights: readonly number[], share: number): number {
  let left = share * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [index, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return index;
  }
  // Rounding can leave a remainder after the last one.
  return weights.findLastIndex((weight) => weight > 0);
}

function shuffled(count: number, random: () => number): number[] {
  const order = Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other] ?? 0, order[last] ?? 0];
  }
  return order;
}
