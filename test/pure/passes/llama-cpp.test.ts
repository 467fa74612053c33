import { describe, expect, test } from "vitest";
import type { Placement } from "../../../src/passes/index.ts";
import { listed, plan, type Shape } from "./models.ts";

const L = 6;
const DENSE: Shape = { layers: L };
const MOE: Shape = { layers: L, experts: 8, shared: true };

/** Blocks of which any tensor is on the CPU. */
function cpuBlocks(made: ReturnType<typeof plan>): number[] {
  const blocks = listed(made).flatMap((name) => /^(\d+)\./.exec(name)?.[1] ?? []);
  return [...new Set(blocks.map(Number))];
}

const onCpu = (shape: Shape, placement: Placement, name: string) =>
  listed(plan("llama.cpp", shape, placement)).includes(name);
const below = (end: number) => Array.from({ length: end }, (_, block) => block);

describe("-ngl counts from the tail, the output head first", () => {
  // [ngl, blocks on the CPU, head on the CPU]
  const cases: [number, number[], boolean][] = [
    [0, below(L), true],
    [1, below(L), false],
    [2, below(L - 1), false],
    [L / 2, below(L / 2 + 1), false],
    [L - 1, [0, 1], false],
    [L, [0], false],
    [L + 1, [], false],
    [99, [], false],
    [-1, [], false],
  ];
  test.each(cases)("-ngl %i", (gpuLayers, blocks, headOnCpu) => {
    for (const shape of [DENSE, MOE]) {
      const made = plan("llama.cpp", shape, { gpuLayers });
      expect(cpuBlocks(made)).toEqual(blocks);
      expect(listed(made).includes("output")).toBe(headOnCpu);
      expect(listed(made).includes("output_norm")).toBe(headOnCpu);
      expect(listed(made)).toContain("token_embd");
    }
  });

  test("as logged by the engine: 3 layers, 2 on the GPU leaves blocks 0 and 1 and token_embd", () => {
    const made = plan("llama.cpp", { layers: 3 }, { gpuLayers: 2 });
    expect(cpuBlocks(made)).toEqual([0, 1]);
    expect(made.elsewhere.map(({ tensor }) => tensor.name)).toContain("output.weight");
  });

  test("not given: nothing on the GPU", () => {
    const made = plan("llama.cpp", DENSE);
    expect(made.elsewhere).toEqual([]);
    expect(made.runs.map(({ label, gate }) => [label, gate])).toEqual([
      ["llama.cpp", "fits-in-free-ram"],
    ]);
  });
});

describe("ik_llama.cpp: the head goes last", () => {
  const cases: [number, number[], boolean][] = [
    [0, below(L), true],
    [1, below(L - 1), true],
    [L - 1, [0], true],
    [L, [], true],
    [L + 1, [], false],
    [-1, [], false],
  ];
  test.each(cases)("-ngl %i", (gpuLayers, blocks, headOnCpu) => {
    const made = plan("ik_llama.cpp", DENSE, { gpuLayers });
    expect(cpuBlocks(made)).toEqual(blocks);
    expect(listed(made).includes("output")).toBe(headOnCpu);
    expect(made.runs[0]?.label).toBe("ik_llama.cpp");
  });
});

describe("tensors that belong to no block", () => {
  test("a tied embedding stays on the CPU, and says when it is the head too", () => {
    const reason = (gpuLayers: number) =>
      plan("llama.cpp", { layers: 2, tied: true }, { gpuLayers }).runs[0]?.regions.find(
        ({ tensor }) => tensor.name === "token_embd.weight",
      )?.reason;
    expect(reason(0)).toContain("output head too");
    expect(reason(1)).toBe("token embedding kept on the CPU as an input");
    expect(reason(99)).toBe("token embedding kept on the CPU as an input");
  });

  test("rope_freqs and the PLE projections go with block 0", () => {
    const shape: Shape = { layers: 2, ple: true };
    for (const name of ["rope_freqs", "per_layer_model_proj", "per_layer_proj_norm"]) {
      expect(onCpu(shape, { gpuLayers: 2 }, name)).toBe(true);
      expect(onCpu(shape, { gpuLayers: 3 }, name)).toBe(false);
    }
  });

  test("the rope_freqs of Gemma 4 go with its first block without a sliding window", () => {
    const pattern = [true, true, false, true];
    const gemma4: Shape = {
      arch: "gemma4",
      layers: 4,
      tied: true,
      ple: true,
      metadata: { "gemma4.attention.sliding_window_pattern": pattern },
    };
    // The head and block 3, then block 2 as well.
    expect(onCpu(gemma4, { gpuLayers: 2 }, "rope_freqs")).toBe(true);
    expect(onCpu(gemma4, { gpuLayers: 3 }, "rope_freqs")).toBe(false);
    expect(onCpu(gemma4, { gpuLayers: 4 }, "per_layer_model_proj")).toBe(true);
  });

  test.each([
    ["bert", "token_embd_norm", "block 0"],
    ["lfm2", "token_embd_norm", "the head"],
    ["gemma3n", "altup_proj", "the head"],
    ["gemma3n", "altup_unembd_proj", "the head"],
  ])("in %s %s goes with %s", (arch, role, home) => {
    const tensors = { "rope_freqs.weight": { name: `${role}.weight` } };
    const shape: Shape = { arch, layers: 2, tensors };
    expect(onCpu(shape, { gpuLayers: 0 }, role)).toBe(true);
    expect(onCpu(shape, { gpuLayers: 1 }, role)).toBe(home === "block 0");
    expect(onCpu(shape, { gpuLayers: 3 }, role)).toBe(false);
  });

  test("a per-layer embedding table is an input: on the CPU however large -ngl is", () => {
    expect(onCpu({ layers: 2, ple: true }, { gpuLayers: 99 }, "per_layer_token_embd")).toBe(true);
  });
});

describe("MTP blocks", () => {
  const shape: Shape = { layers: 4, nextn: 1 };

  test("count towards -ngl", () => {
    // 5 blocks and the head: 2 offloads the head and the MTP block.
    expect(cpuBlocks(plan("llama.cpp", shape, { gpuLayers: 2 }))).toEqual([0, 1, 2, 3]);
    expect(cpuBlocks(plan("llama.cpp", shape, { gpuLayers: 5 }))).toEqual([0]);
  });

  test("are skipped at load unless they are used", () => {
    expect(cpuBlocks(plan("llama.cpp", shape))).toEqual([0, 1, 2, 3]);
    expect(cpuBlocks(plan("llama.cpp", shape, { mtp: true }))).toEqual([0, 1, 2, 3, 4]);
    expect(cpuBlocks(plan("llama.cpp", shape, { mtp: true, gpuLayers: 2 }))).toEqual([0, 1, 2, 3]);
  });
});

describe("notes", () => {
  const quantised = (dtype: string, shape = [64, 64]): Shape => ({
    layers: 1,
    tensors: { "blk.0.attn_q.weight": { dtype, shape } },
  });

  test.each(["Q4_0", "Q4_K", "IQ4_NL", "Q2_K"])("%s may be copied out of the mapping", (dtype) => {
    expect(plan("llama.cpp", quantised(dtype)).notes).toEqual([
      expect.stringMatching(/copies 1 of these weights .*CPU_REPACK/),
    ]);
  });

  test("not on the GPU, not of other types, not with an odd count of rows", () => {
    expect(plan("llama.cpp", quantised("Q4_K"), { gpuLayers: 99 }).notes).toEqual([]);
    expect(plan("llama.cpp", quantised("Q6_K")).notes).toEqual([]);
    expect(plan("llama.cpp", quantised("Q4_K", [64, 60])).notes).toEqual([]);
    expect(plan("ik_llama.cpp", quantised("Q4_K")).notes).toEqual([]);
    // Looked up, not multiplied.
    const embedding = { "token_embd.weight": { dtype: "Q4_K" } };
    expect(plan("llama.cpp", { layers: 1, tensors: embedding }).notes).toEqual([]);
  });
});

test("encoder and decoder blocks are blocks, relative biases included", () => {
  const tensors = {
    "blk.0.attn_q.weight": { name: "enc.blk.0.attn_q.weight" },
    "blk.0.attn_k.weight": { name: "enc.blk.0.attn_rel_b.weight" },
    "blk.1.attn_q.weight": { name: "dec.blk.1.attn_q.weight" },
    "blk.1.attn_k.weight": { name: "dec.blk.1.attn_rel_b.weight" },
  };
  const names = listed(plan("llama.cpp", { layers: 2, tensors }, { gpuLayers: 2 }));
  expect(names).toEqual(expect.arrayContaining(["enc.blk.0.attn_q", "enc.blk.0.attn_rel_b"]));
  expect(names).not.toContain("dec.blk.1.attn_q");
  expect(names).not.toContain("dec.blk.1.attn_rel_b");
});

describe("a lazy table", () => {
  const tensors = { "per_layer_token_embd.weight": { byteLength: 4 * 2 ** 30 + 1 } };
  const shape: Shape = { arch: "gemma4", layers: 2, ple: true, tensors };
  const overrides = [{ pattern: "per_layer_token_embd", buffer: "CPU" }];

  test("is read by rows in llama.cpp whatever -ot says, and whole in ik_llama.cpp", () => {
    expect(listed(plan("llama.cpp", shape, { overrides }))).not.toContain("per_layer_token_embd");
    expect(listed(plan("ik_llama.cpp", shape, { overrides }))).toContain("per_layer_token_embd");
    const whole = plan("llama.cpp", shape, { overrides, lazyTables: "include" });
    expect(listed(whole)).toContain("per_layer_token_embd");
  });
});

test("a pattern of a started line that matches nothing is a note", () => {
  const overrides = [{ pattern: "no_such", buffer: "CPU", unmatched: "note" as const }];
  expect(plan("llama.cpp", { layers: 1 }, { overrides }).notes).toEqual([
    expect.stringContaining("no_such"),
  ]);
});

test("--no-repack silences the note about repacked copies", () => {
  const tensors = { "blk.0.attn_q.weight": { dtype: "Q4_0", shape: [64, 64] } };
  expect(plan("llama.cpp", { layers: 1, tensors }, { repack: false }).notes).toEqual([]);
});
