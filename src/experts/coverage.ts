import { binomial, seededRandom } from "./chance.ts";
import { NO_ROW, type Profile, sumOf } from "./profile.ts";
import type { ExpertLayer, ExpertUnit } from "./slices.ts";

/**
 * The share of the selections that some experts cover, of those that the profile counted in these
 * layers. Layers of which it knows nothing are left out of both sides.
 *
 * @returns `null` when it counted none
 */
export function coverageOf(
  chosen: readonly ExpertUnit[],
  layers: readonly ExpertLayer[],
  weights: readonly Float64Array[],
): number | null {
  const weightOf = ({ block, expert }: ExpertUnit) => weights[block]?.[expert] ?? 0;
  let all = 0;
  for (const { units } of layers) for (const unit of units) all += weightOf(unit);
  let covered = 0;
  for (const unit of chosen) covered += weightOf(unit);
  // Added up in another order, the sum may be larger in its last digit.
  return all > 0 ? Math.min(covered / all, 1) : null;
}

/** Enough experts that chance decides about less than a percent; more for models of few experts. */
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
  layers: readonly ExpertLayer[],
  profile: Profile,
  bytes: number,
  used: number | null,
): number | null {
  const sizes = Float64Array.from(layers.flatMap(({ units }) => units.map(sizeOf)));
  const draws = Math.min(Math.ceil(ENOUGH_EXPERTS / Math.max(sizes.length, 1)), MOST_DRAWS);
  const random = seededRandom(SEED);
  let sum = 0;
  let counted = 0;
  for (let draw = 0; draw < draws; draw++) {
    const share = shareOfHottest(evenly(layers, profile, used, random), sizes, bytes);
    if (share === null) continue;
    sum += share;
    counted++;
  }
  return counted === 0 ? null : sum / counted;
}

/** How often experts were chosen, one after the other as in the layers; below 0 where nobody looked. */
function evenly(
  layers: readonly ExpertLayer[],
  { weights, samples }: Profile,
  used: number | null,
  random: () => number,
): Float64Array {
  const counts = layers.flatMap(({ block, units }) => {
    const row = weights[block] ?? NO_ROW;
    const sum = sumOf(row);
    const most = row.reduce((larger, weight) => Math.max(larger, weight), 0);
    const known = samples ?? (used === null ? Number.POSITIVE_INFINITY : sum / used);
    const trials = Math.ceil(Math.max(known, most, 1));
    return units.map(() => (row.length === 0 ? -1 : binomial(random, trials, sum / row.length)));
  });
  return Float64Array.from(counts);
}

/** The share of all counts that the hottest experts have, up to so many bytes. */
function shareOfHottest(counts: Float64Array, sizes: Float64Array, bytes: number): number | null {
  const known = counts.filter((count) => count >= 0);
  const all = sumOf(known);
  if (all === 0) return null;
  const mean = all / known.length;
  const density = counts.map((count, at) => (count < 0 ? mean : count) / (sizes[at] ?? 1));
  const order = Uint32Array.from(counts, (_, at) => at);
  order.sort((a, b) => (density[b] ?? 0) - (density[a] ?? 0));
  let left = bytes;
  let covered = 0;
  for (const at of order) {
    const size = sizes[at] ?? 0;
    if (size > left) continue;
    left -= size;
    covered += Math.max(counts[at] ?? 0, 0);
  }
  return Math.min(covered / all, 1);
}

function sizeOf({ byteLength }: ExpertUnit): number {
  return byteLength;
}
