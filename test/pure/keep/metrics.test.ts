import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { metricsText } from "../../../src/cli/keep/metrics.ts";
import { metric, parseMetrics } from "../../helpers/prometheus.ts";
import { run, state, view } from "./views.ts";

const sampled = (name: string, text: string) =>
  parseMetrics(text).filter((sample) => sample.name === name);

describe("the metrics", () => {
  test("are the state, by model and run", () => {
    const experts = run({ name: "experts", wantedBytes: 5000, residentBytes: 4000 });
    const counts = { lockedBytes: 7, refills: 2, refilledBytes: 3e9, postponed: 4 };
    const text = metricsText(
      view({ state: state([run(), experts], { ...counts, pressurePercent: 1.25 }) }),
    );
    expect(parseMetrics(text)).toEqual([
      { name: "prefault_wanted_bytes", labels: { model: "model.gguf", run: "core" }, value: 1000 },
      {
        name: "prefault_wanted_bytes",
        labels: { model: "model.gguf", run: "experts" },
        value: 5000,
      },
      {
        name: "prefault_resident_bytes",
        labels: { model: "model.gguf", run: "core" },
        value: 1000,
      },
      {
        name: "prefault_resident_bytes",
        labels: { model: "model.gguf", run: "experts" },
        value: 4000,
      },
      { name: "prefault_locked_bytes", labels: {}, value: 7 },
      { name: "prefault_refills_total", labels: {}, value: 2 },
      { name: "prefault_refilled_bytes_total", labels: {}, value: 3e9 },
      { name: "prefault_postponed_total", labels: {}, value: 4 },
      { name: "prefault_memory_pressure_percent", labels: {}, value: 1.25 },
      { name: "prefault_warm", labels: {}, value: 0 },
    ]);
  });

  test("leave out what the system does not say", () => {
    const text = metricsText(view({ state: state([run({ residentBytes: null })]) }));
    expect(sampled("prefault_wanted_bytes", text)).toHaveLength(1);
    expect(text).not.toContain("prefault_resident_bytes");
    expect(metric(parseMetrics(text), "prefault_warm")).toBe(1);
  });

  test("are there before anything is filled", () => {
    const text = metricsText(view({ report: null, state: null }));
    expect(parseMetrics(text).map(({ name }) => name)).toEqual([
      "prefault_locked_bytes",
      "prefault_refills_total",
      "prefault_refilled_bytes_total",
      "prefault_postponed_total",
      "prefault_memory_pressure_percent",
      "prefault_warm",
    ]);
  });

  test("survive any name of a file", () => {
    const hostile = fc.oneof(
      fc.string({ unit: "grapheme" }),
      fc.string({
        unit: fc.constantFrom("\\", '"', "\n", "{", "}", ",", "=", "#", " ", "n", "\r"),
      }),
    );
    const property = fc.property(fc.uniqueArray(hostile, { maxLength: 4 }), (paths) => {
      const text = metricsText(view({ state: state(paths.map((path) => run({ path }))) }));
      const models = sampled("prefault_wanted_bytes", text).map(({ labels }) => labels["model"]);
      expect(models).toEqual(paths);
    });
    fc.assert(property, { numRuns: 500 });
  });

  test("have each set of labels once", () => {
    const twice = state([run(), run({ residentBytes: 500 }), run({ path: "other" })]);
    const text = metricsText(view({ state: twice }));
    expect(sampled("prefault_wanted_bytes", text).map(({ value }) => value)).toEqual([2000, 1000]);
    expect(sampled("prefault_resident_bytes", text).map(({ value }) => value)).toEqual([
      1500, 1000,
    ]);
  });
});
