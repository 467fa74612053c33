import { describe, expect, test } from "vitest";
import type { PassName, PassPlan, Placement } from "../../../src/passes/index.ts";
import { plan, type Shape, short } from "./models.ts";

// Where a plan says that everything is which it does not list.

/** `{ "0.attn_q": "gpu", … }` */
function places(made: PassPlan): Record<string, string> {
  return Object.fromEntries(made.elsewhere.map(({ tensor, place }) => [short(tensor.name), place]));
}

const shape: Shape = { layers: 4, nextn: 1, experts: 4, shared: true };

describe.each(["cuda-hybrid", "hybrid"] as const)("%s", (pass) => {
  const at = places(plan(pass, shape, { gpuLayers: 2, cpuMoe: false, embedding: "gpu" }));

  test("what is uploaded is on the GPU: layers, their small weights, the head", () => {
    expect(at).toMatchObject({
      "0.attn_q": "gpu",
      "1.attn_q.bias": "gpu",
      "1.ffn_gate_inp": "gpu",
      "1.ffn_up_shexp": "gpu",
      token_embd: "gpu",
      output_norm: "gpu",
      output: "gpu",
    });
  });

  test("small weights of CPU layers are copies", () => {
    expect(at).toMatchObject({
      "2.attn_q.bias": "copied",
      "3.attn_q_norm": "copied",
      "3.ffn_gate_inp_shexp": "copied",
      rope_freqs: "copied",
    });
  });

  test("MTP blocks are not used", () => {
    const reasons = plan(pass, shape, {}).elsewhere.map(({ reason }) => reason);
    expect(reasons).toContain("MTP blocks, not used");
    expect(at).toMatchObject({ "4.attn_q": "unused", "4.ffn_up_exps": "unused" });
  });

  test("and nothing else is elsewhere", () => {
    expect(Object.keys(at).filter((name) => /^[23]\.(attn_q|ffn_up_exps)$/.test(name))).toEqual([]);
  });
});

test("cuda-hybrid: per-layer embeddings of GPU layers are on the GPU, the projection is a copy", () => {
  const gemma: Shape = { arch: "gemma4", layers: 2, ple: true };
  expect(places(plan("cuda-hybrid", gemma, { gpuLayers: 1 }))).toMatchObject({
    "0.inp_gate": "gpu",
    per_layer_model_proj: "copied",
  });
});

test("the GDN passes have everything but experts on the GPU, CUDA a dense MTP head as well", () => {
  const dense: Shape = { layers: 4, nextn: 1, gdn: true };
  const at = (pass: PassName, placement: Placement = {}) => places(plan(pass, dense, placement));
  for (const pass of ["cuda-hybrid-gdn", "vulkan-hybrid-gdn"] as const) {
    expect(at(pass, { denseFfnOnGpu: 4 })).toMatchObject({
      "0.ssm_out": "gpu",
      "0.ssm_a": "gpu",
      "3.attn_q": "gpu",
      "0.ffn_up": "gpu",
      token_embd: "gpu",
    });
  }
  expect(at("cuda-hybrid-gdn")["4.ffn_up"]).toBe("gpu");
  expect(at("vulkan-hybrid-gdn")["4.ffn_up"]).toBe("unused");
});

test("the CPU passes have copies, and what they do not read", () => {
  expect(places(plan("hybrid-gdn", { layers: 4, nextn: 1, gdn: true }))).toEqual({
    ...Object.fromEntries(
      [0, 1, 2].flatMap((layer) => [
        [`${layer}.ssm_a`, "copied"],
        [`${layer}.ssm_conv1d`, "copied"],
      ]),
    ),
    "3.attn_q.bias": "copied",
    "3.attn_q_norm": "copied",
    "4.attn_q.bias": "copied",
    "4.attn_q_norm": "copied",
    "4.nextn.eh_proj": "copied",
    "4.nextn.enorm": "copied",
    rope_freqs: "copied",
  });
  expect(places(plan("forward", shape))).toMatchObject({ "4.attn_q": "unused" });
});

test("reasons name the part", () => {
  const made = plan("llama.cpp", shape, { gpuLayers: 99, cpuMoe: true });
  expect(made.runs[1]?.regions.map(({ reason }) => reason)).toContain(
    "routed experts by --cpu-moe",
  );
  const query = made.elsewhere.find(({ tensor }) => tensor.name === "blk.0.attn_q.weight");
  expect(query).toMatchObject({ place: "gpu", reason: "attention on the GPU" });
  const mtp = made.elsewhere.find(({ tensor }) => tensor.name === "blk.4.attn_q.weight");
  expect(mtp).toMatchObject({ place: "unused", reason: "MTP blocks, skipped at load" });
});
