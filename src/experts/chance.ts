/** From 0 to just under 1, the same numbers again for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** From this mean on a binomial number is as good as normal, and counting up to it costs more. */
const NORMAL_FROM = 30;

/**
 * How often something happened in so many trials, when `mean` times are to be expected.
 *
 * @param trials - a whole number, or `Infinity` (Poisson)
 * @param mean - from 0 to `trials`
 */
export function binomial(random: () => number, trials: number, mean: number): number {
  if (mean <= 0) return 0;
  if (mean >= trials) return trials;
  // The rarer outcome is counted: its probabilities do not underflow.
  if (2 * mean > trials) return trials - binomial(random, trials, trials - mean);
  return mean > NORMAL_FROM ? normal(random, trials, mean) : inverted(random, trials, mean);
}

/** Box and Muller's way to a normal number. */
function normal(random: () => number, trials: number, mean: number): number {
  const deviation = Math.sqrt(mean * (1 - mean / trials));
  const radius = Math.sqrt(-2 * Math.log(1 - random()));
  const number = Math.round(mean + deviation * radius * Math.cos(2 * Math.PI * random()));
  return Math.min(Math.max(number, 0), trials);
}

/** Adds up the probabilities of 0, 1, 2… until they pass a random number. */
function inverted(random: () => number, trials: number, mean: number): number {
  const isPoisson = trials === Number.POSITIVE_INFINITY;
  const chance = mean / trials;
  let probability = isPoisson ? Math.exp(-mean) : Math.exp(trials * Math.log1p(-chance));
  let left = random() - probability;
  let count = 0;
  // What is past ten times the mean has no chance that a double could hold.
  while (left > 0 && count < trials && count < 10 * NORMAL_FROM) {
    const times = isPoisson ? mean : ((trials - count) * chance) / (1 - chance);
    probability *= times / (count + 1);
    left -= probability;
    count++;
  }
  return count;
}
