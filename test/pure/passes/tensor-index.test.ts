import { afterEach, describe, expect, test, vi } from "vitest";
import { TensorIndex } from "../../../src/passes/gguf/tensor-index.ts";
import { indexModel, PASS_NAMES, type PassName, passOf } from "../../../src/passes/index.ts";
import { modelOf, plan, type Shape } from "./models.ts";

afterEach(() => vi.restoreAllMocks());

describe("look-ups", () => {
  const index = new TensorIndex(modelOf({ layers: 1 }));

  test("tolerant: absent is undefined", () => {
    expect(index.find("blk.0.attn_q.weight")?.name).toBe("blk.0.attn_q.weight");
    expect(index.find("blk.7.attn_q.weight")).toBeUndefined();
    expect(index.find("__proto__")).toBeUndefined();
  });

  test("strict: absent is an error that names it", () => {
    expect(() => index.get("blk.7.attn_q.weight")).toThrow(
      expect.objectContaining({
        code: "PREFAULT_UNKNOWN_TENSOR",
        message: expect.stringContaining("blk.7.attn_q.weight"),
      }),
    );
  });

  test("of two equal names the first wins", () => {
    const model = modelOf({ layers: 1 });
    const twin = { ...model.tensors[0], offset: 0, byteLength: 1 } as (typeof model.tensors)[0];
    const doubled = new TensorIndex({ ...model, tensors: [...model.tensors, twin] });
    expect(doubled.get(twin.name)).toBe(model.tensors[0]);
  });
});

describe("what a pass cannot do without is strict, what only the sweep wants is tolerant", () => {
  const rename = (name: string): Shape["tensors"] => ({ [name]: { name: "blk.0.other.weight" } });

  test.each([
    ["cuda-hybrid", "blk.1.attn_q.weight"],
    ["hybrid", "blk.1.ffn_gate_inp.weight"],
    ["forward", "output_norm.weight"],
  ] as const)("%s without %s", (pass, name) => {
    const shape = { layers: 2, experts: 4, tensors: rename(name) };
    expect(() => plan(pass, shape as Shape)).toThrow(
      expect.objectContaining({ code: "PREFAULT_UNKNOWN_TENSOR" }),
    );
  });

  test.each(["cuda-hybrid", "hybrid"] as const)("%s without an expert of a GPU layer", (pass) => {
    const shape = { layers: 2, experts: 4, tensors: rename("blk.0.ffn_up_exps.weight") };
    expect(() => plan(pass, shape as Shape, { gpuLayers: 1, cpuMoe: false })).not.toThrow();
  });

  test("llama.cpp needs no tensor in particular", () => {
    const shape = { layers: 2, tensors: rename("token_embd.weight") };
    expect(() => plan("llama.cpp", shape as Shape)).not.toThrow();
  });
});

// Time is a matter for the benchmarks; what keeps it short is one hash probe a tensor or so. A number
// that grew with its square would be a thousand times more for this many tensors.
test.each(PASS_NAMES)("%s plans a model of 10,000 tensors in linearly many look-ups", (pass) => {
  const gdn = pass.endsWith("gdn");
  const lookups = (layers: number, planned: PassName) => {
    const model = indexModel(modelOf({ layers, experts: 4, shared: true, gdn }));
    const find = vi.spyOn(TensorIndex.prototype, "find");
    const made = passOf(planned)(model, { cpuMoe: true });
    const count = find.mock.calls.length;
    find.mockRestore();
    return { count, tensors: model.index.tensors.length, made };
  };
  const large = lookups(640, pass);
  expect(large.tensors).toBeGreaterThan(10_000);
  expect(large.count).toBeLessThan(2 * large.tensors);
  const places = large.made.runs.reduce((sum, { regions }) => sum + regions.length, 0);
  expect(places + large.made.elsewhere.length).toBe(large.tensors);
});
