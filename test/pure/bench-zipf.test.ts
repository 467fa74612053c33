import { describe, expect, it } from "vitest";
import { countTokens, zipfRouter } from "../../bench/zipf.ts";

const SHAPE = { layers: 3, experts: 128, used: 8 };
const TOKENS = 1000;

/** Share of the selections that go to the quarter used most. */
function topQuarter(counts: readonly number[]): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const most = [...counts].sort((a, b) => b - a).slice(0, counts.length / 4);
  return most.reduce((sum, count) => sum + count, 0) / total;
}

describe("zipfRouter", () => {
  it("gives each layer so many different experts", () => {
    const router = zipfRouter({ ...SHAPE, s: 1.4, seed: 1, draws: 1 });
    for (let token = 0; token < 50; token++) {
      const chosen = router.next();
      expect(chosen).toHaveLength(3);
      for (const experts of chosen) expect(new Set(experts).size).toBe(8);
    }
  });

  it("skews the selections as the exponent grows", () => {
    const shares = [0, 0.6, 1, 1.4].map((s) => {
      const counts = countTokens(zipfRouter({ ...SHAPE, s, seed: 1, draws: 1 }), TOKENS, 128);
      return topQuarter(counts[0] ?? []);
    });
    expect(shares).toEqual([...shares].sort((a, b) => a - b));
    expect(shares[0]).toBeLessThan(0.35);
    expect(shares[2]).toBeGreaterThan(0.65);
    expect(shares[2]).toBeLessThan(0.8);
  });

  it("has the same popular experts for other draws of one seed, and draws others", () => {
    const one = zipfRouter({ ...SHAPE, s: 1, seed: 7, draws: 1 });
    const other = zipfRouter({ ...SHAPE, s: 1, seed: 7, draws: 2 });
    expect(one.next()).not.toEqual(other.next());
    const favourite = (counts: readonly number[]) => counts.indexOf(Math.max(...counts));
    expect(countTokens(one, TOKENS, 128).map(favourite)).toEqual(
      countTokens(other, TOKENS, 128).map(favourite),
    );
  });

  it("draws the same again for the same seed", () => {
    const options = { ...SHAPE, s: 1, seed: 7, draws: 1 };
    expect(zipfRouter(options).next()).toEqual(zipfRouter(options).next());
  });
});
