import { availableParallelism } from "node:os";
import { describe, expect, test } from "vitest";
import { defaultLanes } from "../../src/sweep/lanes.ts";

const processors = availableParallelism();
const cold = Math.min(Math.max(2 * processors, 2), 8);
const warm = Math.min(processors, 8);

const plain = { isLocal: () => true, isSpinning: () => false };

describe("the number of lanes, when nobody says it", () => {
  test.each([
    ["nothing is resident", 1000, 0, cold],
    ["half is resident", 1000, 500, cold],
    ["nearly all is resident", 1000, 960, warm],
    ["everything is, in whole pages", 1000, 4096, warm],
    ["the system does not say", 1000, null, cold],
  ])("%s", (_, bytes, residentBytes, lanes) => {
    expect(defaultLanes(bytes, residentBytes, [3], plain)).toBe(lanes);
  });

  test("a disk with an arm gets one reader", () => {
    const spinning = { ...plain, isSpinning: (fd: number) => fd === 4 };
    expect(defaultLanes(1000, 0, [3, 4], spinning)).toBe(1);
    expect(defaultLanes(1000, 1000, [3, 4], spinning)).toBe(warm);
  });

  test("another machine gets a few", () => {
    const remote = { ...plain, isLocal: () => false };
    expect(defaultLanes(1000, 0, [3], remote)).toBe(Math.min(cold, 4));
  });
});
