import { totalmem } from "node:os";
import { describe, expect, test } from "vitest";
import { availableBytes, totalBytes } from "../../../src/memory/memory.ts";

describe("memory", () => {
  test("is at most what the machine has", () => {
    expect(totalBytes()).toBeGreaterThan(0);
    expect(totalBytes()).toBeLessThanOrEqual(totalmem());
  });

  test("that is available is at most all of it, whatever the target has cached", () => {
    expect(availableBytes(0)).toBeGreaterThan(0);
    expect(availableBytes(0)).toBeLessThanOrEqual(totalBytes());
    expect(availableBytes(2 ** 50)).toBeLessThanOrEqual(totalBytes());
  });
});
