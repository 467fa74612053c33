import { describe, expect, test } from "vitest";
import { formatBytes, gib, gibPerSecond, sumKnown } from "../../src/units.ts";

describe("units", () => {
  test("show GiB with two decimals", () => {
    expect(gib(0)).toBe("0.00 GiB");
    expect(gib(16.389 * 1024 ** 3)).toBe("16.39 GiB");
  });

  test("give no rate when no time passed", () => {
    expect(gibPerSecond(1024 ** 3, 0)).toBe(0);
    expect(gibPerSecond(1024 ** 3, 0.5)).toBe(2);
  });

  test.each([
    [0, "0 B"],
    [1, "1 B"],
    [1023, "1023 B"],
    [1024, "1.00 KiB"],
    [1024 ** 2 * 31.94, "31.94 MiB"],
    [1024 ** 3 * 100, "100.0 GiB"],
    [1024 ** 5 * 3, "3.00 PiB"],
    [1024 ** 6, "1024.0 PiB"],
  ])("show %d bytes as %s", (bytes, shown) => {
    expect(formatBytes(bytes)).toBe(shown);
  });

  test("sum only what is known", () => {
    expect(sumKnown([])).toBe(0);
    expect(sumKnown([1, 2, 3])).toBe(6);
    expect(sumKnown([1, null, 3])).toBeNull();
    expect(sumKnown([null, 0])).toBeNull();
  });
});
