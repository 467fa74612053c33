import { describe, expect, test } from "vitest";
import { isLoadedSoon, isSoonRead } from "../../../src/beside/fast-load.ts";

const MIB = 1024 ** 2;
const at = (ms: number, mib: number) => ({ ms, bytes: mib * MIB });

/** Of a model of 1000 MiB; `read` are the looks, in milliseconds and MiB. */
const isSoon = (...read: readonly (readonly [ms: number, mib: number])[]) => {
  const [first = at(0, 0), ...others] = read.map(([ms, mib]) => at(ms, mib));
  const [last = first, now = first] = others.length > 1 ? others.slice(-2) : [first, ...others];
  return isSoonRead(1000 * MIB, { first, last, now });
};

describe("a load that is done soon", () => {
  test("reads the rest within a second and a half", () => {
    expect(isSoon([0, 0], [100, 50], [200, 120])).toBe(true);
    expect(isSoon([0, 0], [100, 50], [200, 90])).toBe(false);
  });

  test("is told by the second look that finds it reading", () => {
    expect(isSoon([0, 0], [100, 5], [200, 30])).toBe(true);
    expect(isSoon([0, 0], [200, 30], [300, 60])).toBe(false);
  });

  test("counts from what the process had read before", () => {
    expect(isSoon([0, 5000], [100, 5050], [200, 5150])).toBe(true);
  });

  test("is not one that reads slower than at first", () => {
    expect(isSoon([0, 0], [60, 400], [120, 410])).toBe(false);
  });

  test("has a moment to begin", () => {
    expect(isSoon([0, 0], [250, 0])).toBe(true);
    expect(isSoon([0, 0], [350, 0])).toBe(false);
    expect(isSoon([0, 0], [350, 5])).toBe(false);
  });

  test("has read all, but for what was resident before", () => {
    expect(isSoon([0, 0], [900, 985], [960, 985])).toBe(true);
    expect(isSoon([0, 0], [900, 900], [960, 900])).toBe(false);
  });

  test("is not one that reads more than the file, such as the other files of a split model", () => {
    expect(isSoon([0, 0], [900, 900], [960, 1100])).toBe(false);
  });
});

describe("waiting for a load", () => {
  const never = new AbortController().signal;

  test("ends at once where it is done without having read", async () => {
    expect(await isLoadedSoon(1000 * MIB, Promise.resolve(), never)).toBe(false);
    expect(await isLoadedSoon(1000 * MIB, Promise.reject(new Error("no")), never)).toBe(false);
  });

  test("ends where it reads nothing", async () => {
    expect(await isLoadedSoon(1000 * MIB, new Promise(() => {}), never)).toBe(false);
  });

  test("ends when it is aborted", async () => {
    expect(await isLoadedSoon(1000 * MIB, new Promise(() => {}), AbortSignal.abort())).toBe(false);
  });
});
