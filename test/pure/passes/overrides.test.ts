import { describe, expect, test } from "vitest";
import { overrideRule, parseOverrides } from "../../../src/passes/llama/overrides.ts";

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

describe("buffer types", () => {
  test.each([
    "CPU",
    "CUDA0",
    "CUDA11",
    "ROCm0",
    "Vulkan1",
    "SYCL0",
    "Metal",
    "MTL0",
    "RPC0[10.0.0.2:50052]",
    "RPC[h:1]",
    "CANN0",
    "MUSA0",
    "OpenCL",
    "BLAS",
    "CUDA_Host",
    "CPU_REPACK",
    "AMX",
  ])("%s is taken", (buffer) => {
    expect(overrideRule({ pattern: "a", buffer }).buffer).toBe(buffer);
  });

  test.each([
    "cpu",
    "Cpu",
    "GPU",
    "CUDA",
    "cuda0",
    "CUDA0 ",
    "Vulkan",
    "",
    "b=CPU",
    "CPU_Mapped",
    "gpu0",
  ])("%j is refused, as llama.cpp does", (buffer) => {
    expect(() => overrideRule({ pattern: "a", buffer })).toThrow(
      expect.objectContaining({
        code: "PREFAULT_INVALID_OPTION",
        message: expect.stringContaining("no buffer type"),
      }),
    );
  });
});
