import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  indexModel,
  PASS_NAMES,
  type PassName,
  type PassPlan,
  type Placement,
  passOf,
} from "../../../src/passes/index.ts";
import { modelOf, type Shape } from "./models.ts";

const shape: fc.Arbitrary<Shape> = fc.record({
  arch: fc.constantFrom("qwen3", "gemma4"),
  layers: fc.integer({ min: 1, max: 7 }),
  nextn: fc.integer({ min: 0, max: 2 }),
  tied: fc.boolean(),
  experts: fc.constantFrom(0, 4),
  leadingDense: fc.integer({ min: 0, max: 1 }),
  shared: fc.boolean(),
  ple: fc.boolean(),
  postNorms: fc.boolean(),
  interval: fc.integer({ min: 1, max: 4 }),
  sharedKv: fc.integer({ min: 0, max: 1 }),
});

const placement: fc.Arbitrary<Placement> = fc.record(
  {
    gpuLayers: fc.integer({ min: -1, max: 9 }),
    cpuMoe: fc.constantFrom<(boolean | "auto")[]>(true, false, "auto"),
    denseFfnOnGpu: fc.integer({ min: 0, max: 8 }),
    embedding: fc.constantFrom("cpu", "gpu", "auto"),
    lazyTables: fc.constantFrom("include", "exclude"),
    mtp: fc.boolean(),
  },
  { requiredKeys: [] },
);

/** A shape and a placement that the pass accepts. */
function made(pass: PassName, given: Shape, where: Placement): [PassPlan, number] {
  const model = indexModel(modelOf({ ...given, gdn: pass.endsWith("gdn") }));
  const onCpu = pass === "forward" || pass === "hybrid-gdn";
  return [
    passOf(pass)(model, { ...where, ...(onCpu ? { gpuLayers: 0 } : {}) }),
    model.index.tensors.length,
  ];
}

const cpuSet = (plan: PassPlan) =>
  new Set(plan.runs.flatMap(({ regions }) => regions.map(({ tensor }) => tensor.name)));

describe.each(PASS_NAMES)("%s", (pass) => {
  test("every tensor is in exactly one place, with a reason", () => {
    fc.assert(
      fc.property(shape, placement, (given, where) => {
        const [plan, count] = made(pass, given, where);
        const all = [...plan.runs.flatMap(({ regions }) => regions), ...plan.elsewhere];
        expect(all).toHaveLength(count);
        expect(new Set(all.map(({ tensor }) => tensor)).size).toBe(count);
        expect(all.every(({ reason }) => reason.length > 0)).toBe(true);
        expect(plan.runs.every(({ regions }) => regions.length > 0)).toBe(true);
        expect(plan.pass).toBe(pass);
      }),
    );
  });

  test("more GPU layers never put more on the CPU", () => {
    fc.assert(
      fc.property(shape, placement, fc.integer({ min: 0, max: 9 }), (given, where, layers) => {
        const [fewer] = made(pass, given, { ...where, gpuLayers: layers });
        const [more] = made(pass, given, { ...where, gpuLayers: layers + 1 });
        const before = cpuSet(fewer);
        expect([...cpuSet(more)].filter((name) => !before.has(name))).toEqual([]);
      }),
    );
  });

  test("the reference lists no tensor that is uploaded by the mended plan, but for D5, D7 and D11", () => {
    fc.assert(
      fc.property(shape, placement, (given, where) => {
        const [mended] = made(pass, given, where);
        const [before] = made(pass, given, { ...where, reference: true });
        const extra = [...cpuSet(before)].filter((name) => !cpuSet(mended).has(name));
        expect(
          extra.filter((name) => !/ffn_(gate|up|down)\.|inp_gate|proj|post_norm/.test(name)),
        ).toEqual([]);
      }),
    );
  });

  test("reasons come from a small set, whatever the number of layers", () => {
    const [plan] = made(
      pass,
      { layers: 60, experts: 4, shared: true, nextn: 1 },
      { gpuLayers: 30 },
    );
    const reasons = [...plan.runs.flatMap(({ regions }) => regions), ...plan.elsewhere];
    expect(new Set(reasons.map(({ reason }) => reason)).size).toBeLessThan(24);
  });
});

test("the order of rules decides for llama.cpp: whatever -ot puts first is where it goes", () => {
  fc.assert(
    fc.property(shape, fc.integer({ min: -1, max: 9 }), (given, gpuLayers) => {
      const model = indexModel(modelOf(given));
      const everything = [
        { pattern: ".", buffer: "CPU" },
        { pattern: ".", buffer: "CUDA0" },
      ];
      const plan = passOf("llama.cpp")(model, { gpuLayers, overrides: everything, mtp: true });
      expect(cpuSet(plan).size).toBe(model.index.tensors.length);
    }),
  );
});
