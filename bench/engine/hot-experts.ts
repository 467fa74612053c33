import type { ExpertLayer, Slice } from "./expert-slices.ts";

/** Experts that belong in memory, and how many of the profile's selections go to them. */
export interface HotSet {
  /** The core first, then experts by weight, those used most first. */
  readonly ranges: readonly Slice[];
  readonly byteLength: number;
  readonly coverage: number;
}

/**
 * The core, and the experts of the greatest weight until the budget is full.
 *
 * @param weights by layers in the order of `layers`, and experts
 * @param budgetBytes core included
 */
export function hotSet(
  { layers, core }: { readonly layers: readonly ExpertLayer[]; readonly core: readonly Slice[] },
  weights: readonly (readonly number[])[],
  budgetBytes: number,
): HotSet {
  const units = layers.flatMap(({ experts }, layer) =>
    experts.map((slices, expert) => ({ slices, weight: weights[layer]?.[expert] ?? 0 })),
  );
  const all = sum(units.map(({ weight }) => weight));
  const ranges = [...core];
  let byteLength = bytesOf(core);
  let covered = 0;
  for (const { slices, weight } of units.sort((a, b) => b.weight - a.weight)) {
    if (byteLength + bytesOf(slices) > budgetBytes) break;
    ranges.push(...slices);
    byteLength += bytesOf(slices);
    covered += weight;
  }
  return { ranges, byteLength, coverage: covered / all };
}

function bytesOf(slices: readonly Slice[]): number {
  return sum(slices.map(({ byteLength }) => byteLength));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
