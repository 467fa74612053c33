import { describe, expect, test } from "vitest";
import { CONTROL_BYTES } from "../../src/control/arena-control.ts";
import { SweepControl } from "../../src/control/sweep-control.ts";
import type { WorkerResult } from "../../src/sweep/protocol.ts";
import { summary } from "../../src/sweep/sweep-result.ts";

const control = new SweepControl(new SharedArrayBuffer(CONTROL_BYTES));

function worker(startedMs: number, endedMs: number, chunks: number): WorkerResult {
  const nothing = { minorFaults: 1, majorFaults: 0, untouchedBytes: 0, failures: [] };
  return { startedMs, endedMs, chunks, faultsOf: "thread", ...nothing };
}

describe("the seconds of a sweep", () => {
  test("are from the beginning of the first worker to the end of the last", () => {
    const results = [worker(1000, 1400, 3), worker(1100, 1500, 2)];
    expect(summary(results, control, null).seconds).toBeCloseTo(0.5);
  });

  test("leave out a worker that began when all chunks were taken", () => {
    const results = [worker(1000, 1400, 5), worker(1600, 1601, 0)];
    const { seconds, minorFaults } = summary(results, control, null);
    expect(seconds).toBeCloseTo(0.4);
    expect(minorFaults).toBe(2);
  });

  test("are those of all workers where none took a chunk", () => {
    expect(summary([worker(1000, 1001, 0)], control, null).seconds).toBeCloseTo(0.001);
  });

  test("begin with what was populated before the workers had started", () => {
    const early = { startedMs: 900, over: Promise.resolve() };
    expect(summary([worker(1000, 1400, 5)], control, early).seconds).toBeCloseTo(0.5);
  });
});
