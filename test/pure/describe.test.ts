import { describe, expect, test } from "vitest";
import { describeValue, messageOf } from "../../src/describe.ts";

const circular: { self?: unknown } = {};
circular.self = circular;

const thrower = {
  toJSON() {
    throw new Error("no");
  },
};

describe("a value in a message", () => {
  test.each([
    ["text", '"text"'],
    [7n, "7n"],
    [Number.NaN, "NaN"],
    [-1, "-1"],
    [null, "null"],
    [undefined, "undefined"],
    [Symbol("s"), "Symbol(s)"],
    [() => 1, "a function"],
    [{ offset: 1n }, '{"offset":"1n"}'],
    [circular, "an object that cannot be shown"],
    [thrower, "an object that cannot be shown"],
    [Object.create(null), "{}"],
  ])("is shown: %#", (value, text) => {
    expect(describeValue(value)).toBe(text);
  });

  test("is cut where it is long", () => {
    expect(describeValue("x".repeat(10_000)).length).toBeLessThan(130);
  });
});

test.each([
  [new Error("why"), "why"],
  ["why", "why"],
  [7n, "7n"],
  [Symbol("why"), "Symbol(why)"],
  [undefined, "undefined"],
  [Object.create(null), "{}"],
])("the message of what was thrown: %#", (thrown, message) => {
  expect(messageOf(thrown)).toBe(message);
});
