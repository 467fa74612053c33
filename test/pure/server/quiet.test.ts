import { describe, expect, test } from "vitest";
import { Quiet } from "../../../src/server/wait-until-ready.ts";

const MIB = 1024 ** 2;

/** Looks at made-up activity: at a second, whether it is mapped, and the MiB read so far. */
function looks(...activity: readonly (readonly [seconds: number, mapped: boolean, mib: number])[]) {
  let ms = 0;
  const quiet = new Quiet(() => ms);
  return activity.map(([seconds, hasMapped, mib]) => {
    ms = 1000 * seconds;
    return quiet.look({ hasMapped, readBytes: mib * MIB });
  });
}

describe("an engine that has stopped reading", () => {
  test("is told by three seconds in which next to nothing was read", () => {
    expect(looks([0, true, 100], [2.9, true, 101], [3, true, 102])).toEqual([false, false, true]);
  });

  test("is not told while it reads", () => {
    const reading = [0, 1, 2, 3, 4, 5, 6].map((at) => [at, true, 100 * at] as const);
    expect(looks(...reading)).not.toContain(true);
  });

  test("is not told by slow reading that adds up", () => {
    const slow = [0, 1, 2, 3, 4, 5, 6].map((at) => [at, true, 2 * at] as const);
    expect(looks(...slow)).not.toContain(true);
  });

  test("is told only of an engine that has mapped the files", () => {
    expect(looks([0, false, 0], [5, false, 0], [10, false, 0])).not.toContain(true);
    expect(looks([0, false, 0], [5, true, 0], [7, true, 0], [8, true, 0])).toEqual([
      false,
      false,
      false,
      true,
    ]);
  });

  test("begins anew after a file was unmapped", () => {
    const again = looks([0, true, 9], [2, false, 9], [2.5, true, 9], [4, true, 9], [5.5, true, 9]);
    expect(again).toEqual([false, false, false, false, true]);
  });
});
