import { binomial, seededRandom } from "./chance.ts";
import { ExpertTable } from "./expert-table.ts";
import { NO_ROW, type Profile, sumOf } from "./profile.ts";
import type { RoutedLayer } from "./routed-layers.ts";
import { type ExpertUnit, expertNumbers } from "./slices.ts";

/**
 * The share of the selections that some experts cover, of those that the profile counted in these
 * layers. Layers of which it knows nothing are left out of both sides.
 *
 * @returns `null` when it counted none
 */
export function coverageOf(
  chosen: readonly ExpertUnit[],
  layers: readonly RoutedLayer[],
  weights: readonly Float64Array[],
): number | null {
  let all = 0;
  for (const layer of layers) {
    const row = weights[layer.block] ?? NO_ROW;
    for (const expert of expertNumbers(layer)) all += row[expert] ?? 0;
  }
  let covered = 0;
  for (const { layer, expert } of chosen) covered += weights[layer.block]?.[expert] ?? 0;
  // Added up in another order, the sum may be larger in its last digit.
  return all > 0 ? Math.min(covered / all, 1) : null;
}

/** Enough experts that chance decides about less than a percent; more draws for models of few. */
const ENOUGH_EXPERTS = 8192;
const MOST_DRAWS = 32;

const SEED = 20_260_801;

/**
 * What the profile would show if the router chose evenly: the same number of samples of each layer,
 * spread by chance alone, ranked, and as many bytes chosen. Few samples look skewed although they are
 * not, and this says by how much. The same input gives the same number.
 *
 * @param bytes - of the experts that were chosen
 * @param used - experts that a token uses in each layer, from which the number of samples follows
 *   where the profile does not say it
 * @returns `null` when the profile counted nothing in these layers
 */
export function evenCoverage(
  layers: readonly RoutedLayer[],
  profile: Profile,
  bytes: number,
  used: number | null,
): number | null {
  const table = new ExpertTable(layers);
  const draws = Math.min(Math.ceil(ENOUGH_EXPERTS / Math.max(table.length, 1)), MOST_DRAWS);
  const random = seededRandom(SEED);
  let sum = 0;
  let counted = 0;
  for (let draw = 0; draw < draws; draw++) {
    const counts = table.column(evenRows(layers, profile, used, random));
    const share = shareOfHottest(table, counts, bytes);
    if (share === null) continue;
    sum += share;
    counted++;
  }
  return counted === 0 ? null : sum / counted;
}

function evenRows(
  layers: readonly RoutedLayer[],
  { weights, samples }: Profile,
  used: number | null,
  random: () => number,
): Float64Array[] {
  const even: Float64Array[] = [];
  for (const { block } of layers) {
    const row = weights[block] ?? NO_ROW;
    const sum = sumOf(row);
    let most = 1;
    for (const weight of row) most = Math.max(most, weight);
    const known = samples ?? (used === null ? Number.POSITIVE_INFINITY : sum / used);
    const trials = Math.ceil(Math.max(known, most));
    even[block] = row.map(() => binomial(random, trials, sum / row.length));
  }
  return even;
}

/** The share of all counts that the hottest experts have, up to so many bytes. */
function shareOfHottest(table: ExpertTable, counts: Float64Array, bytes: number): number | null {
  let all = 0;
  for (const count of counts) all += Math.max(count, 0);
  if (all === 0) return null;
  let left = bytes;
  let covered = 0;
  for (const at of table.hottestFirst(counts)) {
    const size = table.bytes[at] ?? 0;
    if (size > left) continue;
    left -= size;
    covered += Math.max(counts[at] ?? 0, 0);
  }
  return Math.min(covered / all, 1);
}
