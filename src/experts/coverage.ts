import { binomial, seededRandom } from "./chance.ts";
import { NO_ROW, type Profile } from "./profile.ts";
import { type Budget, rankExperts, takeWithin } from "./select.ts";
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
 * spread by chance alone, ranked and chosen within the same budget. Few samples look skewed although
 * they are not, and this says by how much. The same input gives the same number.
 *
 * @param used - experts that a token uses in each layer, from which the number of samples follows
 *   where the profile does not say it
 */
export function evenCoverage(
  layers: readonly ExpertLayer[],
  profile: Profile,
  budget: Budget,
  used: number | null,
): number | null {
  const experts = layers.reduce((sum, { units }) => sum + units.length, 0);
  const draws = Math.min(Math.ceil(ENOUGH_EXPERTS / Math.max(experts, 1)), MOST_DRAWS);
  const random = seededRandom(SEED);
  let sum = 0;
  let counted = 0;
  for (let draw = 0; draw < draws; draw++) {
    const weights = evenWeights(layers, profile, used, random);
    const { experts: chosen } = takeWithin(rankExperts(layers, weights), budget);
    const share = coverageOf(
      chosen.map(({ unit }) => unit),
      layers,
      weights,
    );
    if (share === null) continue;
    sum += share;
    counted++;
  }
  return counted === 0 ? null : sum / counted;
}

function evenWeights(
  layers: readonly ExpertLayer[],
  { weights, samples }: Profile,
  used: number | null,
  random: () => number,
): Float64Array[] {
  const even: Float64Array[] = [];
  for (const { block } of layers) {
    const row = weights[block] ?? NO_ROW;
    const sum = row.reduce((total, weight) => total + weight, 0);
    const most = row.reduce((larger, weight) => Math.max(larger, weight), 0);
    const known = samples ?? (used === null ? Number.POSITIVE_INFINITY : sum / used);
    const trials = Math.ceil(Math.max(known, most, 1));
    even[block] = row.map(() => binomial(random, trials, sum / row.length));
  }
  return even;
}
