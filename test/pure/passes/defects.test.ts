import { describe, expect, test } from "vitest";
import { indexModel, planPass } from "../../../src/passes/index.ts";
import { LAZY_TABLE_BYTES } from "../../../src/passes/lazy-table.ts";
import { listed, modelOf, plan, type Shape } from "./models.ts";

// The reference's known defects: what it does, and what happens here unless it is asked for.

const MOE: Shape = { layers: 4, experts: 8, shared: true };
const reference = { reference: true } as const;
const gates = (made: ReturnType<typeof plan>) =>
  made.runs.map(({ label, gate }) => [label, gate] as const);

test("D1: a CPU pass beside GPU layers sweeps the whole model; here it is refused", () => {
  const whole = listed(plan("forward", MOE, reference));
  expect(listed(plan("forward", MOE, { gpuLayers: 3, ...reference }))).toEqual(whole);
  for (const pass of ["forward", "hybrid-gdn"] as const) {
    expect(() => plan(pass, MOE, { gpuLayers: 3 })).toThrow(
      expect.objectContaining({ code: "PREFAULT_INVALID_OPTION" }),
    );
  }
  const hybrid = listed(plan("cuda-hybrid", MOE, { gpuLayers: 3, cpuMoe: true }));
  expect(hybrid).not.toContain("0.attn_q");
  expect(hybrid).toContain("3.attn_q");
});

test("D2: a model larger than RAM is faulted whole; here routed experts wait for free memory", () => {
  expect(gates(plan("forward", MOE, reference))).toEqual([["ForwardPass", "always"]]);
  const mended = plan("forward", MOE);
  expect(gates(mended)).toEqual([
    ["ForwardPass", "always"],
    ["ForwardPass experts", "fits-in-free-ram"],
  ]);
  expect(mended.runs[0]?.regions.some(({ tensor }) => tensor.name.includes("_exps"))).toBe(false);
  expect(mended.runs[1]?.regions.every(({ tensor }) => tensor.name.includes("_exps"))).toBe(true);
});

test("D3: one gate against total RAM, all or nothing; here two runs, experts against free RAM", () => {
  const placement = { gpuLayers: 2, cpuMoe: true };
  expect(gates(plan("cuda-hybrid", MOE, { ...placement, ...reference }))).toEqual([
    ["CudaHybridForwardPass", "fits-in-ram"],
  ]);
  expect(gates(plan("cuda-hybrid", MOE, placement))).toEqual([
    ["CudaHybridForwardPass", "fits-in-ram"],
    ["CudaHybridForwardPass experts", "fits-in-free-ram"],
  ]);
});

describe("D4: the CPU pass omits per-layer embeddings; here they are listed", () => {
  const shape: Shape = { arch: "gemma4", layers: 2, ple: true, postNorms: true };
  const names = ["per_layer_token_embd", "per_layer_proj_norm", "0.inp_gate", "1.post_norm"];

  test("listed", () => {
    const before = listed(plan("forward", shape, reference));
    expect(before.filter((name) => names.includes(name))).toEqual([]);
    expect(listed(plan("forward", shape))).toEqual(expect.arrayContaining(names));
  });

  test("a table over 4 GiB is lazy: left out unless asked for", () => {
    const huge = { "per_layer_token_embd.weight": { byteLength: LAZY_TABLE_BYTES + 1 } };
    for (const pass of ["forward", "cuda-hybrid", "llama.cpp"] as const) {
      const without = plan(pass, { ...shape, tensors: huge });
      expect(listed(without)).not.toContain("per_layer_token_embd");
      expect(without.elsewhere.filter(({ place }) => place === "lazy")).toHaveLength(1);
      const asked = plan(pass, { ...shape, tensors: huge }, { lazyTables: "include" });
      expect(listed(asked)).toContain("per_layer_token_embd");
    }
    const exactly = { "per_layer_token_embd.weight": { byteLength: LAZY_TABLE_BYTES } };
    expect(listed(plan("forward", { ...shape, tensors: exactly }))).toContain(
      "per_layer_token_embd",
    );
  });
});

test("D5: CUDA GDN sweeps FFN layers that are on the GPU; here they are not listed", () => {
  const shape: Shape = { layers: 4, gdn: true };
  const made = plan("cuda-hybrid-gdn", shape, { denseFfnOnGpu: [1] });
  expect(listed(plan("cuda-hybrid-gdn", shape, { denseFfnOnGpu: [1], ...reference }))).toContain(
    "1.ffn_up",
  );
  expect(listed(made)).not.toContain("1.ffn_up");
  const ffn = made.elsewhere.find(({ tensor }) => tensor.name === "blk.1.ffn_up.weight");
  expect(ffn?.place).toBe("gpu");
});

test.each(["forward", "hybrid-gdn"] as const)(
  "D6: %s lists a tied embedding twice; here once",
  (pass) => {
    const shape: Shape = { layers: 4, tied: true, gdn: pass === "hybrid-gdn" };
    const count = (placement: { reference?: boolean }) =>
      listed(plan(pass, shape, placement)).filter((name) => name === "token_embd").length;
    expect(count(reference)).toBe(2);
    expect(count({})).toBe(1);
  },
);

describe("D7: experts and router of the GDN passes", () => {
  const shape: Shape = { ...MOE, gdn: true };

  test.each(["cuda-hybrid-gdn", "vulkan-hybrid-gdn"] as const)(
    "%s lists nothing when the GPU caches experts; here the mapping behind the cache",
    (pass) => {
      expect(plan(pass, shape, { cpuMoe: false, ...reference }).runs).toEqual([]);
      const made = plan(pass, shape, { cpuMoe: false });
      expect(listed(made)).toHaveLength(12);
      expect(gates(made).map(([, gate]) => gate)).toEqual(["fits-in-free-ram"]);
    },
  );

  test("Vulkan leaves out the router under CPU-MoE; here it is listed", () => {
    const before = plan("vulkan-hybrid-gdn", shape, { cpuMoe: true, ...reference });
    expect(listed(before)).not.toContain("0.ffn_gate_inp");
    expect(listed(before).slice(0, 4)).toEqual([
      "0.ffn_gate_exps",
      "0.ffn_up_exps",
      "0.ffn_down_exps",
      "1.ffn_gate_exps",
    ]);
    expect(listed(plan("vulkan-hybrid-gdn", shape, { cpuMoe: true }))).toContain("0.ffn_gate_inp");
  });
});

test("D8: nothing is de-duplicated; here no tensor is in two places", () => {
  const made = plan("forward", { layers: 2, tied: true });
  expect(new Set(listed(made)).size).toBe(listed(made).length);
});

describe("D9: a tensor that runs past its file crashes the sweep; here the model is refused", () => {
  const cases = {
    "past the end": { offset: 4096, byteLength: 1e9 },
    "a negative offset": { offset: -1 },
    "not a number": { offset: Number.NaN },
    "beyond exact integers": { byteLength: 2 ** 60 },
    "in no file": { file: 3 },
  };
  test.each(Object.entries(cases))("%s", (_, overwrite) => {
    const model = modelOf({ layers: 1 });
    const broken = model.tensors.map((tensor, at) =>
      at === 5 ? { ...tensor, ...overwrite } : tensor,
    );
    expect(() => indexModel({ ...model, tensors: broken })).toThrow(
      expect.objectContaining({ code: "PREFAULT_INVALID_MODEL" }),
    );
  });
});

test("D10: the sweep delays the load; here a plan is data and opens no file", () => {
  const model = modelOf(MOE);
  expect(model.files[0]?.path).toBe("/nowhere/model.gguf");
  const made = planPass(model, { gpuLayers: 2 });
  expect(JSON.parse(JSON.stringify(made))).toEqual(made);
  expect(planPass(model, { gpuLayers: 2 })).toEqual(made);
});

test("D11: per-layer embeddings of GPU layers are swept; here they are not listed", () => {
  const shape: Shape = { arch: "gemma4", layers: 3, ple: true };
  const before = listed(plan("cuda-hybrid", shape, { gpuLayers: 2, ...reference }));
  const made = plan("cuda-hybrid", shape, { gpuLayers: 2 });
  expect(before).toEqual(expect.arrayContaining(["0.proj", "1.proj", "2.proj"]));
  expect(listed(made).filter((name) => name.endsWith(".proj"))).toEqual(["2.proj"]);
});
