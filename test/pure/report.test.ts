import { describe, expect, test } from "vitest";
import { PrefaultError } from "../../src/errors.ts";
import { combineReports, emptyReport, logLine, type PrefaultReport } from "../../src/run/report.ts";

const GIB = 1024 ** 3;

const report = (known: Partial<PrefaultReport>): PrefaultReport => ({
  ...emptyReport("LABEL", "auto"),
  ...known,
});

describe("the log line", () => {
  test("has exactly the form of the contract", () => {
    const bytes = Math.round(16.39 * GIB);
    const seconds = 16.39 / 50.5;
    expect(logLine(report({ ran: true, bytes, seconds }))).toBe(
      "[LABEL] Pre-faulted 16.39 GiB of CPU-resident weights in 0.3s (50.5 GiB/s).",
    );
  });

  test("has two decimals for GiB and one for the rest, whatever the size", () => {
    expect(logLine(report({ ran: true, bytes: 1, seconds: 0 }))).toBe(
      "[LABEL] Pre-faulted 0.00 GiB of CPU-resident weights in 0.0s (0.0 GiB/s).",
    );
    expect(logLine(report({ ran: true, bytes: 1500 * GIB, seconds: 1000 }))).toBe(
      "[LABEL] Pre-faulted 1500.00 GiB of CPU-resident weights in 1000.0s (1.5 GiB/s).",
    );
  });

  test("says why a deliberate skip skipped", () => {
    const reason = "skipped: 14.00 GiB exceeds 80% of 16.00 GiB RAM";
    expect(logLine(report({ reason }))).toBe(`[LABEL] Pre-fault ${reason}.`);
  });

  test("says what went wrong, also when it ran", () => {
    const error = new PrefaultError("PREFAULT_NOT_FOUND", "no such thing");
    for (const ran of [true, false]) {
      expect(logLine(report({ ran, error }))).toBe("[LABEL] Pre-fault stopped: no such thing.");
    }
  });

  test("is silent when there was nothing to do", () => {
    expect(logLine(report({ reason: "no mapped weights" }))).toBeUndefined();
  });
});

describe("several runs", () => {
  const first = report({
    label: "first",
    ran: true,
    bytes: 2 * GIB,
    seconds: 1,
    workers: 4,
    residentBytesAfter: 5,
  });
  const skipped = report({ label: "second", reason: "skipped", bytes: 8 * GIB });

  test("are summed up, a rate only over what ran", () => {
    expect(combineReports([first, skipped])).toMatchObject({
      label: "first",
      ran: true,
      reason: "auto; skipped",
      bytes: 10 * GIB,
      gibPerSecond: 2,
      workers: 4,
      residentBytesAfter: null,
      runs: [first, skipped],
    });
  });

  test("are one report when there is but one", () => {
    expect(combineReports([first])).toBe(first);
  });

  test("keep the error of any of them", () => {
    const error = new PrefaultError("PREFAULT_READ_FAILED", "no");
    expect(combineReports([first, report({ error })]).error).toBe(error);
    expect(combineReports([first, skipped])).not.toHaveProperty("error");
  });
});
