import { expect, test } from "vitest";
import { Pace } from "../../../src/keep/pace.ts";

/** Of a set that is looked at each second. */
function paceAt(now: () => number): Pace {
  return new Pace(1000, now);
}

test("is due after 30 looks, and after 30 more", () => {
  let ms = 0;
  const pace = paceAt(() => ms);
  for (const dueMs of [30_000, 60_000]) {
    ms = dueMs - 1;
    expect(pace.isDue).toBe(false);
    ms = dueMs;
    expect(pace.isDue).toBe(true);
    pace.took(10);
  }
});

test("takes at most a hundredth of the time, and rests for ten minutes at most", () => {
  for (const [tookMs, restMs] of [
    [1000, 100_000],
    [60_000, 600_000],
  ] as const) {
    let ms = 30_000;
    const pace = paceAt(() => ms);
    pace.took(tookMs);
    ms += restMs - 1;
    expect(pace.isDue).toBe(false);
    ms += 1;
    expect(pace.isDue).toBe(true);
  }
});

test("goes by the shortest fill: a longer one has read from the disk", () => {
  let ms = 0;
  const pace = paceAt(() => ms);
  for (const tookMs of [120_000, 500, 120_000]) pace.took(tookMs);
  ms = 50_000;
  expect(pace.isDue).toBe(true);
});
