import type { Profile } from "../experts/profile.ts";
import type { LayerResidency } from "../residency/expert-residency.ts";
import type { Paint } from "./paint.ts";
import { drawMap } from "./residency-map.ts";
import { columns } from "./text.ts";

/** Cells of a layer: what fits a line of a terminal beside the counts. */
const MOST_CELLS = 48;

/** Routed experts of a layer: how many are wholly, partly and not resident. */
export interface ExpertRow {
  readonly block: number;
  readonly whole: number;
  readonly partly: number;
  readonly none: number;
}

export function expertRow({ block, shares }: LayerResidency): ExpertRow {
  const whole = shares.filter((share) => share === 1).length;
  const none = shares.filter((share) => share === 0).length;
  return { block, whole, partly: shares.length - whole - none, none };
}

/** A line a layer: counts, and a map of its experts, those that are used most first. */
export function expertLines(
  layers: readonly LayerResidency[],
  profile: Profile | null,
  paint: Paint,
): string[] {
  const rows = layers.map((layer) => {
    const { whole, partly, none } = expertRow(layer);
    return [
      `  blk.${layer.block}`,
      `${whole} whole`,
      `${partly} partly`,
      `${none} not`,
      drawMap(cells(ranked(layer, profile)), paint),
    ];
  });
  const order = profile === null ? "by number" : "those used most first";
  return [paint("bold", `routed experts, a line a layer, ${order}`), ...columns(rows, 4)];
}

function ranked({ block, shares }: LayerResidency, profile: Profile | null): number[] {
  const weights = profile?.weights[block];
  const order = Array.from(shares.keys());
  if (weights !== undefined) order.sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0) || a - b);
  return order.map((expert) => shares[expert] ?? 0);
}

/** Several experts share a cell where there are more than fit. */
function cells(shares: readonly number[]): number[] {
  const count = Math.min(shares.length, MOST_CELLS);
  return Array.from({ length: count }, (_, cell) => {
    const within = shares.slice(
      Math.floor((cell * shares.length) / count),
      Math.floor(((cell + 1) * shares.length) / count),
    );
    return within.reduce((sum, share) => sum + share, 0) / within.length;
  });
}
