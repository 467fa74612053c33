import { expect, test } from "vitest";
import { binomial, seededRandom } from "../../../src/experts/chance.ts";

test.each([
  [1, 0.4],
  [8, 3.2],
  [8, 7.5],
  [1000, 5],
  [1000, 400],
  [1000, 999],
  [100_000, 3125],
  [Number.POSITIVE_INFINITY, 2.5],
  [Number.POSITIVE_INFINITY, 900],
])("of %d trials with %d to be expected: mean, spread and bounds", (trials, mean) => {
  const random = seededRandom(7);
  const counts = Array.from({ length: 20_000 }, () => binomial(random, trials, mean));
  const average = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  const variance = counts.reduce((sum, count) => sum + (count - average) ** 2, 0) / counts.length;
  const expected = mean * (1 - mean / trials);
  expect(Math.abs(average - mean)).toBeLessThan(5 * Math.sqrt(expected / counts.length));
  expect(variance / expected).toBeGreaterThan(0.9);
  expect(variance / expected).toBeLessThan(1.1);
  expect(counts.every((count) => Number.isInteger(count) && count >= 0 && count <= trials)).toBe(
    true,
  );
});

test("nothing happens by no chance, and everything by a certain one", () => {
  const random = seededRandom(7);
  expect(binomial(random, 10, 0)).toBe(0);
  expect(binomial(random, 10, 10)).toBe(10);
});
