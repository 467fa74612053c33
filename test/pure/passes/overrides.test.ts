import { describe, expect, test } from "vitest";
import { overrideRule, parseOverrides } from "../../../src/passes/overrides.ts";

describe("parseOverrides", () => {
  test.each([
    ["exps=CPU", [{ pattern: "exps", buffer: "CPU" }]],
    [
      "blk\\.[0-3]\\.=CUDA0,exps=CPU",
      [
        { pattern: "blk\\.[0-3]\\.", buffer: "CUDA0" },
        { pattern: "exps", buffer: "CPU" },
      ],
    ],
    // llama.cpp divides at the first `=`.
    ["a=b=CPU", [{ pattern: "a", buffer: "b=CPU" }]],
    ["\\.ffn_(up|down)_exps\\.=CPU", [{ pattern: "\\.ffn_(up|down)_exps\\.", buffer: "CPU" }]],
  ])("%s", (value, expected) => {
    expect(parseOverrides(value)).toEqual(expected);
  });

  test.each([
    "",
    "exps",
    "=CPU",
    "exps=",
    "a=CPU,",
    "(=CPU",
    "[=CPU",
    "a**=CPU",
    "blk\\.\\d{1,2}\\.=CPU",
    "[[:digit:]]=CPU",
    "(?<=blk)x=CPU",
  ])("%j is refused, and named", (value) => {
    expect(() => parseOverrides(value)).toThrow(
      expect.objectContaining({
        code: "PREFAULT_INVALID_OPTION",
        message: expect.stringContaining("tensor override"),
      }),
    );
  });

  test("escapes that JavaScript's strict mode forbids are allowed, as in std::regex", () => {
    expect(overrideRule({ pattern: "blk\\-?\\.0", buffer: "CPU" }).matches("blk.0.x")).toBe(true);
  });

  test("a rule is stateless: it matches the same name again", () => {
    const rule = overrideRule({ pattern: "exps", buffer: "CPU" });
    expect([1, 2, 3].map(() => rule.matches("blk.0.ffn_up_exps.weight"))).toEqual([
      true,
      true,
      true,
    ]);
  });

  test("an invalid regex in plain data is refused as well, with its cause", () => {
    expect(() => overrideRule({ pattern: "(", buffer: "CPU" })).toThrow(
      expect.objectContaining({ code: "PREFAULT_INVALID_OPTION", cause: expect.any(SyntaxError) }),
    );
  });
});
