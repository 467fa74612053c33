import { expect, describe as group, it } from "vitest";
import { describe } from "../../bench/engine/client.ts";
import { parseServerOptions } from "../../bench/engine/server-options.ts";

group("the server's command line", () => {
  it("takes llama-server's spellings", () => {
    const line = ["-m", "a.gguf", "-ngl", "3", "--port", "99", "-c", "256", "--no-warmup"];
    expect(parseServerOptions(line)).toMatchObject({
      model: "a.gguf",
      gpuLayers: 3,
      port: 99,
      contextSize: 256,
      host: "127.0.0.1",
      threads: undefined,
    });
  });

  it("refuses what it does not know", () => {
    expect(() => parseServerOptions(["-m", "a.gguf", "--cpu-moe"])).toThrow("--cpu-moe");
    expect(() => parseServerOptions(["--port", "99"])).toThrow("-m");
    expect(() => parseServerOptions(["-m", "a.gguf", "--port", "x"])).toThrow("--port");
  });
});

group("an answer's times", () => {
  it("counts from the request, and rates from the 25 tokens before", () => {
    // A second for the first 25 tokens, half a second for the next.
    const times = Array.from(
      { length: 50 },
      (_, i) => 2000 + (i < 25 ? 40 * (i + 1) : 1000 + 20 * (i - 24)),
    );
    const { toFirstToken, toFifth, to24th, toLast, rates, startToFirstToken } = describe(
      times,
      2000,
      500,
    );
    expect(toFirstToken).toBeCloseTo(0.04);
    expect(toFifth).toBeCloseTo(0.2);
    expect(to24th).toBeCloseTo(0.96);
    expect(toLast).toBeCloseTo(1.5);
    expect(rates.map(Math.round)).toEqual([25, 50]);
    expect(startToFirstToken).toBeCloseTo(1.54);
  });
});
