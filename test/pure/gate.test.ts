import { describe, expect, test } from "vitest";
import { type GateQuestion, KILL_SWITCH, shouldRun } from "../../src/gate.ts";

const GIB = 1024 ** 3;

const ask = (question: Partial<GateQuestion>) =>
  shouldRun({
    mode: undefined,
    totalBytes: 4 * GIB,
    availableBytes: 16 * GIB,
    gate: "fits-in-ram",
    ...question,
  });

// The eight pure ones of the reference's twelve (`MmapPrefaultTests.cs`). What the four that sweep
// ask is asked in `test/pool/prefault.test.ts`, of regions of any length, and in `test/pool/gate.test.ts`,
// of a switch at 0 and of more than the RAM.
describe("the reference's cases", () => {
  test("no bytes: no", () => {
    const { run, reason } = ask({ totalBytes: 0 });
    expect(run).toBe(false);
    expect(reason).toContain("no mapped weights");
  });

  test("mode zero: disabled", () => {
    const { run, reason } = ask({ mode: "0", availableBytes: 64 * GIB });
    expect(run).toBe(false);
    expect(reason).toContain("disabled");
  });

  test("mode one: forced, even when over the RAM", () => {
    const { run, reason } = ask({ mode: "1", totalBytes: 100 * GIB, availableBytes: 8 * GIB });
    expect(run).toBe(true);
    expect(reason).toContain("forced");
  });

  test("auto, fits in RAM: runs", () => {
    expect(ask({})).toEqual({ run: true, reason: "auto" });
  });

  test("auto, exceeds eighty percent: skips", () => {
    const { run, reason } = ask({ totalBytes: 14 * GIB });
    expect(run).toBe(false);
    expect(reason).toContain("exceeds");
  });

  test("auto, exactly eighty percent: runs", () => {
    const allowed = Math.floor((16 * GIB) / 10) * 8;
    expect(ask({ totalBytes: allowed }).run).toBe(true);
    expect(ask({ totalBytes: allowed + 1 }).run).toBe(false);
  });

  test("gate always: the RAM makes no difference", () => {
    expect(ask({ totalBytes: 100 * GIB, gate: "always" }).run).toBe(true);
  });

  test("unknown RAM: does not skip", () => {
    expect(ask({ totalBytes: 100 * GIB, availableBytes: 0 }).run).toBe(true);
  });
});

describe("shouldRun", () => {
  test("finds no bytes before anything else, even when forced or disabled", () => {
    for (const mode of ["0", "1", undefined]) {
      for (const totalBytes of [0, -1]) {
        expect(ask({ mode, totalBytes }).reason).toBe("no mapped weights");
      }
    }
  });

  test.each(["", "true", "2", "01", " 1", "auto"])("takes mode %j as auto", (mode) => {
    expect(ask({ mode })).toEqual({ run: true, reason: "auto" });
    expect(ask({ mode, totalBytes: 14 * GIB }).run).toBe(false);
  });

  test("rounds down to tenths before it multiplies, as the reference does", () => {
    expect(ask({ totalBytes: 8, availableBytes: 19 }).run).toBe(true);
    expect(ask({ totalBytes: 9, availableBytes: 19 }).run).toBe(false);
  });

  test("skips whatever there is of it when there are fewer than ten bytes of memory", () => {
    expect(ask({ totalBytes: 1, availableBytes: 9 }).run).toBe(false);
  });

  test.each([
    ["fits-in-ram", "skipped: 14.00 GiB exceeds 80% of 16.00 GiB RAM"],
    ["fits-in-free-ram", "skipped: 14.00 GiB exceeds 80% of 16.00 GiB RAM available now"],
  ] as const)("says what exceeds what under %s", (gate, reason) => {
    expect(ask({ totalBytes: 14 * GIB, gate })).toEqual({ run: false, reason });
  });

  test("names the kill switch that was looked at", () => {
    expect(KILL_SWITCH).toBe("SHARPI_PREFAULT");
    expect(ask({ mode: "0" }).reason).toBe("disabled (SHARPI_PREFAULT=0)");
    expect(ask({ mode: "0", killSwitch: "MY_APP" }).reason).toBe("disabled (MY_APP=0)");
    expect(ask({ mode: "1", killSwitch: "MY_APP" }).reason).toBe("forced (MY_APP=1)");
  });
});
