import { describe, expect, test } from "vitest";
import { layerMajor, listed, plan, roleMajor, type Shape } from "./models.ts";

// The worked vectors of the reference, name for name and in order.

const ATTENTION = ["attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm"];
const DENSE = ["ffn_gate", "ffn_up", "ffn_down"];
const EXPERTS = ["ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"];
const SHARED = ["ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp"];
const GDN = ["attn_qkv", "attn_gate", "ssm_out", "ssm_alpha", "ssm_beta"];
const reference = { reference: true } as const;

describe("V1: CudaHybrid, dense, 4 layers, 2 on the GPU", () => {
  const expected = roleMajor([2, 3], ...ATTENTION, ...DENSE);

  test.each([{}, reference])("%o", (mode) => {
    const made = plan("cuda-hybrid", { layers: 4 }, { gpuLayers: 2, embedding: "gpu", ...mode });
    expect(listed(made)).toEqual(expected);
    expect(made.runs.map(({ label, gate }) => [label, gate])).toEqual([
      ["CudaHybridForwardPass", "fits-in-ram"],
    ]);
  });

  test("spelt out", () => {
    const made = plan("cuda-hybrid", { layers: 4 }, { gpuLayers: 2, embedding: "gpu" });
    expect(made.runs[0]?.regions.map(({ tensor }) => tensor.name)).toEqual([
      "blk.2.attn_norm.weight",
      "blk.3.attn_norm.weight",
      "blk.2.attn_q.weight",
      "blk.3.attn_q.weight",
      "blk.2.attn_k.weight",
      "blk.3.attn_k.weight",
      "blk.2.attn_v.weight",
      "blk.3.attn_v.weight",
      "blk.2.attn_output.weight",
      "blk.3.attn_output.weight",
      "blk.2.ffn_norm.weight",
      "blk.3.ffn_norm.weight",
      "blk.2.ffn_gate.weight",
      "blk.3.ffn_gate.weight",
      "blk.2.ffn_up.weight",
      "blk.3.ffn_up.weight",
      "blk.2.ffn_down.weight",
      "blk.3.ffn_down.weight",
    ]);
  });
});

describe.each([{}, reference])("V2: V1 with the embedding on the CPU, %o", (mode) => {
  const rest = roleMajor([2, 3], ...ATTENTION, ...DENSE);

  test("untied", () => {
    const made = plan("cuda-hybrid", { layers: 4 }, { gpuLayers: 2, embedding: "cpu", ...mode });
    expect(listed(made)).toEqual(["token_embd", "output_norm", "output", ...rest]);
  });

  test("tied", () => {
    const shape = { layers: 4, tied: true };
    const made = plan("cuda-hybrid", shape, { gpuLayers: 2, embedding: "cpu", ...mode });
    expect(listed(made)).toEqual(["token_embd", "output_norm", ...rest]);
  });
});

describe.each([{}, reference])("V3 and V4: CudaHybrid, MoE, all layers on the GPU, %o", (mode) => {
  const shape: Shape = { layers: 2, experts: 8 };
  const placement = { gpuLayers: 2, embedding: "gpu", ...mode } as const;

  test("V3: CPU-MoE", () => {
    const made = plan("cuda-hybrid", shape, { ...placement, cpuMoe: true });
    expect(listed(made)).toEqual(roleMajor([0, 1], "ffn_gate_inp", ...EXPERTS));
  });

  test("V4: the GPU caches experts", () => {
    const made = plan("cuda-hybrid", shape, { ...placement, cpuMoe: false });
    expect(listed(made)).toEqual(layerMajor([0, 1], ...EXPERTS));
  });

  test("V4: an expert that is missing is skipped", () => {
    const tensors = { "blk.1.ffn_up_exps.weight": { name: "blk.1.other.weight" } };
    const made = plan("cuda-hybrid", { ...shape, tensors }, { ...placement, cpuMoe: false });
    expect(listed(made)).toEqual([
      ...layerMajor([0], ...EXPERTS),
      "1.ffn_gate_exps",
      "1.ffn_down_exps",
    ]);
  });
});

test.each([{}, reference])("V5: CudaHybrid, dense, all on the GPU, lists nothing, %o", (mode) => {
  const made = plan("cuda-hybrid", { layers: 2 }, { gpuLayers: 2, embedding: "gpu", ...mode });
  expect(made.runs).toEqual([]);
});

describe("V6: CudaHybrid, Gemma with per-layer embeddings and borrowed keys", () => {
  const shape: Shape = { arch: "gemma4", layers: 3, ple: true, postNorms: true, sharedKv: 1 };
  const placement = { gpuLayers: 1, embedding: "gpu" } as const;
  const before = [
    ...roleMajor([1, 2], "attn_norm", "attn_q"),
    ...roleMajor([1], "attn_k", "attn_v"),
    ...roleMajor([1, 2], "attn_output", "ffn_norm", "post_attention_norm", "post_ffw_norm"),
    ...roleMajor([1, 2], ...DENSE),
    "per_layer_token_embd",
    "per_layer_proj_norm",
  ];

  test("as the reference has it", () => {
    expect(listed(plan("cuda-hybrid", shape, { ...placement, ...reference }))).toEqual([
      ...before,
      ...roleMajor([0, 1, 2], "inp_gate", "proj", "post_norm"),
    ]);
  });

  test("mended: without those of the GPU layer (D11)", () => {
    expect(listed(plan("cuda-hybrid", shape, placement))).toEqual([
      ...before,
      ...roleMajor([1, 2], "inp_gate", "proj", "post_norm"),
    ]);
  });
});

describe("V7: Vulkan hybrid, MoE with shared experts", () => {
  const shape: Shape = { layers: 3, experts: 4, shared: true };
  const placement = { gpuLayers: 1, embedding: "gpu" } as const;

  test.each([true, false, "auto"] as const)("as the reference has it, CPU-MoE %s", (cpuMoe) => {
    const made = plan("hybrid", shape, { ...placement, ...reference, cpuMoe });
    expect(listed(made)).toEqual([
      ...roleMajor([1, 2], ...ATTENTION),
      ...roleMajor([1, 2], "ffn_gate_inp", ...EXPERTS, ...SHARED),
      ...layerMajor([0], ...EXPERTS),
    ]);
    expect(made.runs.map(({ label }) => label)).toEqual(["HybridForwardPass"]);
  });

  test("mended: the same set, routed experts in a run of their own", () => {
    const made = plan("hybrid", shape, placement);
    expect(listed(made)).toEqual([
      ...roleMajor([1, 2], ...ATTENTION),
      ...roleMajor([1, 2], "ffn_gate_inp", ...SHARED),
      ...roleMajor([1, 2], ...EXPERTS),
      ...layerMajor([0], ...EXPERTS),
    ]);
  });
});

describe("V8: CUDA GDN, MoE with an MoE MTP head", () => {
  const shape: Shape = { layers: 4, nextn: 1, experts: 8, shared: true, gdn: true };

  test("CPU-MoE, as the reference has it", () => {
    const made = plan("cuda-hybrid-gdn", shape, { cpuMoe: true, ...reference });
    expect(listed(made)).toEqual([
      ...roleMajor([0, 1, 2, 3], "ffn_gate_inp", ...EXPERTS),
      ...roleMajor([4], "ffn_gate_inp", ...EXPERTS),
    ]);
    expect(made.runs.map(({ label }) => label)).toEqual(["CudaHybridGdnForwardPass"]);
  });

  test("CPU-MoE, mended: the same set, the routers first", () => {
    expect(listed(plan("cuda-hybrid-gdn", shape, { cpuMoe: true }))).toEqual([
      ...roleMajor([0, 1, 2, 3, 4], "ffn_gate_inp"),
      ...roleMajor([0, 1, 2, 3], ...EXPERTS),
      ...roleMajor([4], ...EXPERTS),
    ]);
  });

  test("the GPU caches experts: nothing in the reference, mended all of them (D7)", () => {
    expect(plan("cuda-hybrid-gdn", shape, { cpuMoe: false, ...reference }).runs).toEqual([]);
    expect(listed(plan("cuda-hybrid-gdn", shape, { cpuMoe: false }))).toEqual(
      layerMajor([0, 1, 2, 3], ...EXPERTS),
    );
  });
});

describe("V9: dense GDN, two FFN layers on the GPU", () => {
  const shape: Shape = { layers: 4, gdn: true };

  test("CUDA, as the reference has it: all of them", () => {
    const made = plan("cuda-hybrid-gdn", shape, { denseFfnOnGpu: 2, ...reference });
    expect(listed(made)).toEqual(roleMajor([0, 1, 2, 3], ...DENSE));
    expect(listed(made)).toHaveLength(12);
  });

  test("CUDA, mended: those on the CPU (D5)", () => {
    const made = plan("cuda-hybrid-gdn", shape, { denseFfnOnGpu: [0, 1] });
    expect(listed(made)).toEqual(roleMajor([2, 3], ...DENSE));
  });

  test.each([{}, reference])("Vulkan: those on the CPU, %o", (mode) => {
    const made = plan("vulkan-hybrid-gdn", shape, { denseFfnOnGpu: 2, ...mode });
    expect(listed(made)).toEqual(layerMajor([2, 3], ...DENSE));
    expect(made.runs.map(({ label }) => label)).toEqual(["VulkanHybridGdnForwardPass"]);
  });
});

describe("V10: ForwardPass, dense, tied, one layer", () => {
  const layer = layerMajor(
    [0],
    "attn_norm",
    "attn_q",
    "attn_output",
    "attn_k",
    "attn_v",
    "ffn_norm",
    ...DENSE,
  );

  test("as the reference has it: the embedding twice", () => {
    const made = plan("forward", { layers: 1, tied: true }, reference);
    expect(listed(made)).toEqual(["token_embd", "output_norm", "token_embd", ...layer]);
    expect(made.runs.map(({ label, gate }) => [label, gate])).toEqual([["ForwardPass", "always"]]);
  });

  test("mended: once (D6)", () => {
    const made = plan("forward", { layers: 1, tied: true });
    expect(listed(made)).toEqual(["token_embd", "output_norm", ...layer]);
  });
});

describe("V11: CPU GDN, MoE, every fourth layer attention", () => {
  const shape: Shape = { layers: 4, experts: 8, shared: true, gdn: true, interval: 4 };
  const head = ["token_embd", "output_norm", "output"];
  const norms = ["attn_norm", "post_attention_norm"];
  const attention = ["attn_q", "attn_k", "attn_v", "attn_output"];

  test("as the reference has it", () => {
    const made = plan("hybrid-gdn", shape, reference);
    const nine = [...norms, "ffn_gate_inp", ...SHARED, ...EXPERTS];
    expect(listed(made)).toEqual([
      ...head,
      ...layerMajor([0, 1, 2], ...nine, ...GDN),
      ...layerMajor([3], ...nine, ...attention),
    ]);
    expect(made.runs.map(({ label, gate }) => [label, gate])).toEqual([
      ["HybridGdnForwardPass", "always"],
    ]);
  });

  test("mended: the same set, routed experts in a run of their own", () => {
    const made = plan("hybrid-gdn", shape);
    const six = [...norms, "ffn_gate_inp", ...SHARED];
    expect(listed(made)).toEqual([
      ...head,
      ...layerMajor([0, 1, 2], ...six, ...GDN),
      ...layerMajor([3], ...six, ...attention),
      ...layerMajor([0, 1, 2, 3], ...EXPERTS),
    ]);
    expect(made.runs.map(({ label, gate }) => [label, gate])).toEqual([
      ["HybridGdnForwardPass", "always"],
      ["HybridGdnForwardPass experts", "fits-in-free-ram"],
    ]);
  });

  test.each([0, 8])("the MTP head comes last, without nextn tensors, %i experts", (experts) => {
    const made = plan("hybrid-gdn", { ...shape, experts, shared: true, nextn: 1 }, reference);
    const ffn = experts ? ["ffn_gate_inp", ...SHARED, ...EXPERTS] : DENSE;
    const mtp = layerMajor([4], "attn_norm", ...attention, "post_attention_norm", ...ffn);
    expect(listed(made).slice(-mtp.length)).toEqual(mtp);
    expect(listed(made).filter((name) => name.includes("nextn"))).toEqual([]);
  });
});
