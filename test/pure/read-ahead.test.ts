import { describe, expect, test } from "vitest";
import { hintBytes, readAheadBytes } from "../../src/fill/read-ahead.ts";

const KIB = 1024;
const device = (readAheadBytes: number | null) => ({ readAheadBytes });

describe("a hint", () => {
  test.each([
    ["what the device reads ahead", 512 * KIB, 512 * KIB],
    ["no less than any device does", 0, 128 * KIB],
    ["no more than is honoured in full", 8192 * KIB, 2048 * KIB],
    ["what an untuned disk reads ahead where nobody says", null, 128 * KIB],
  ])("covers %s", (_, bytes, expected) => {
    expect(hintBytes(device(bytes))).toBe(expected);
  });
});

test("what is not told is taken to be what an untuned disk does", () => {
  expect(readAheadBytes(device(null))).toBe(128 * KIB);
  expect(readAheadBytes(device(0))).toBe(0);
});
