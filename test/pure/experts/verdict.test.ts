import { describe, expect, test } from "vitest";
import { seededRandom } from "../../../src/experts/chance.ts";
import type { Profile } from "../../../src/experts/profile.ts";
import { selectExperts } from "../../../src/experts/select.ts";
import { expertSlices } from "../../../src/experts/slices.ts";
import { cycleBytes, judge, type Verdict } from "../../../src/experts/verdict.ts";
import { paperModel } from "./models.ts";

const MODEL = { layers: 12, experts: 64, used: 4, sliceBytes: 40_000 };
const { layers } = expertSlices(paperModel(MODEL));
const ALL = layers.reduce((sum, { byteLength }) => sum + byteLength, 0);

const profileOf = (weights: readonly Float64Array[], samples: number | null): Profile => ({
  source: "json",
  layers: weights.length,
  experts: MODEL.experts,
  samples,
  weights,
  model: null,
  inputLengths: new Map(),
  notes: [],
  path: null,
});

/** Draws `tokens` times `used` distinct experts a layer, by Zipf's law over a shuffled order. */
function routed(tokens: number, s: number, seed = 1): Profile {
  const random = seededRandom(seed);
  const weights = layers.map(({ experts }) => {
    const order = Array.from({ length: experts }, (_, e) => e).sort(() => random() - 0.5);
    const chances = order.map((_, rank) => (rank + 1) ** -s);
    const sum = chances.reduce((total, chance) => total + chance, 0);
    const counts = new Float64Array(experts);
    for (let token = 0; token < tokens; token++) {
      const chosen = new Set<number>();
      while (chosen.size < MODEL.used) {
        let left = random() * sum;
        let rank = 0;
        while (left > (chances[rank] ?? 0)) left -= chances[rank++] ?? 0;
        chosen.add(order[Math.min(rank, experts - 1)] ?? 0);
      }
      for (const expert of chosen) counts[expert] = (counts[expert] ?? 0) + 1;
    }
    return counts;
  });
  return profileOf(weights, tokens);
}

function verdictOf(
  profile: Profile | null,
  share: number,
  used: number | null = MODEL.used,
): Verdict {
  const budget = {
    budgetBytes: Math.round(ALL * share) + 81_920,
    coreBytes: 81_920,
    pageBytes: 4096,
  };
  const selection = selectExperts(layers, profile, budget);
  return judge({ layers, profile, budget, selection, used });
}

describe("a verdict", () => {
  test("of an even router: what is covered is what chance shows, and it is worth little", () => {
    const { coverage, uniform, unranked, worth } = verdictOf(routed(2000, 0), 0.4);
    expect(coverage).toBeCloseTo(uniform ?? 0, 2);
    expect(unranked).toBeCloseTo(0.4, 1);
    expect(worth).toBe("worth little");
  });

  test.each([0.6, 1, 1.4])("of a router by Zipf %d: much more than chance", (s) => {
    const { coverage, uniform, worth } = verdictOf(routed(1000, s), 0.4);
    expect(coverage ?? 0).toBeGreaterThan((uniform ?? 1) + 0.1);
    expect(worth).toBe("worth it");
  });

  test("grows with the skew", () => {
    const [flat, some, steep] = [0, 0.6, 1.2].map((s) => verdictOf(routed(800, s), 0.3).coverage);
    expect(some ?? 0).toBeGreaterThan(flat ?? 1);
    expect(steep ?? 0).toBeGreaterThan(some ?? 1);
  });

  test("of few samples does not take chance for skew", () => {
    const { coverage, uniform, unranked, worth, sentence } = verdictOf(routed(6, 0), 0.4);
    expect(coverage ?? 0).toBeGreaterThan(unranked + 0.2);
    expect(coverage).toBeCloseTo(uniform ?? 0, 1);
    expect(worth).toBe("unknown");
    expect(sentence).toMatch(/so few samples/);
  });

  test("of a single snapshot is unknown: whatever is resident looks hot", () => {
    const weights = layers.map(({ experts }) =>
      Float64Array.from({ length: experts }, (_, e) => (e % 3 === 0 ? 1 : 0)),
    );
    expect(verdictOf(profileOf(weights, 1), 0.4)).toMatchObject({ coverage: 1, worth: "unknown" });
  });

  test("without a number of samples goes by how many experts a token uses", () => {
    const counted = routed(1000, 0);
    const silent = { ...counted, samples: null };
    expect(verdictOf(silent, 0.4).uniform).toBeCloseTo(verdictOf(counted, 0.4).uniform ?? 0, 3);
    expect(verdictOf(silent, 0.4, null).uniform).toBeCloseTo(0.42, 1);
  });

  test("is the same for the same input", () => {
    expect(verdictOf(routed(100, 1), 0.4)).toEqual(verdictOf(routed(100, 1), 0.4));
  });

  test("below one token's cycle is the core only", () => {
    const cycle = cycleBytes(layers, MODEL.used);
    expect(cycle).toBe(MODEL.layers * MODEL.used * 3 * MODEL.sliceBytes);
    expect(verdictOf(routed(100, 1), (0.9 * cycle) / ALL)).toMatchObject({
      worth: "core only",
      cycleBytes: cycle,
    });
    expect(verdictOf(routed(400, 1), (1.5 * cycle) / ALL).worth).toBe("worth it");
  });

  test("of a budget below the core is the core only, even where no cycle is known", () => {
    const budget = { budgetBytes: 1000, coreBytes: 8192, pageBytes: 4096 };
    const selection = selectExperts(layers, null, budget);
    const verdict = judge({ layers, profile: null, budget, selection, used: null });
    expect(verdict).toMatchObject({ worth: "core only", cycleBytes: null, unranked: 0 });
  });

  test("without a profile has no coverage, and is unknown", () => {
    expect(verdictOf(null, 0.4)).toMatchObject({
      coverage: null,
      uniform: null,
      worth: "unknown",
      sentence: expect.stringMatching(/no profile .* 40 % of the selections if the router/),
    });
  });

  test("of an order without counts has no coverage, and is unknown", () => {
    const listed = { ...routed(100, 1), samples: 0 };
    expect(verdictOf(listed, 0.4)).toMatchObject({ coverage: null, worth: "unknown" });
  });

  test("of a profile of zeros is unknown", () => {
    const zeros = profileOf(
      layers.map(() => new Float64Array(MODEL.experts)),
      3,
    );
    expect(verdictOf(zeros, 0.4)).toMatchObject({ coverage: null, worth: "unknown" });
  });

  test("of what fits whole is worth it, whatever the profile", () => {
    for (const profile of [null, routed(10, 0)]) {
      expect(verdictOf(profile, 1.2)).toMatchObject({ worth: "worth it", unranked: 1 });
    }
  });

  test("does not count layers of which the profile knows nothing", () => {
    const some = routed(1000, 1);
    const weights = some.weights.map((row, layer) => (layer < 6 ? row : new Float64Array(0)));
    const { coverage, uniform } = verdictOf({ ...some, weights }, 0.4);
    expect(coverage ?? 0).toBeGreaterThan((uniform ?? 1) + 0.1);
    expect(coverage ?? 2).toBeLessThanOrEqual(1);
  });
});
