import { describe, expect, test } from "vitest";
import { layerMajor, listed, plan, type Shape } from "./models.ts";

const L = 6;
const DENSE: Shape = { layers: L };
const MOE: Shape = { layers: L, experts: 8, shared: true };

/** Blocks of which any tensor is on the CPU. */
function cpuBlocks(made: ReturnType<typeof plan>): number[] {
  const blocks = listed(made).flatMap((name) => /^(\d+)\./.exec(name)?.[1] ?? []);
  return [...new Set(blocks.map(Number))];
}

const below = (end: number) => Array.from({ length: end }, (_, block) => block);

describe("experts", () => {
  const EXPERTS = ["ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"];
  const all = { gpuLayers: 99 };

  test("--cpu-moe keeps routed experts, not shared ones and not the router", () => {
    const made = plan("llama.cpp", MOE, { ...all, cpuMoe: true });
    expect(listed(made)).toEqual(["token_embd", ...layerMajor(below(L), ...EXPERTS)]);
  });

  test.each([0, 1, 4, L, 1_000_000_000])("--n-cpu-moe %i counts from the head", (nCpuMoe) => {
    const made = plan("llama.cpp", MOE, { ...all, nCpuMoe });
    const blocks = below(Math.min(nCpuMoe, L));
    expect(listed(made)).toEqual(["token_embd", ...layerMajor(blocks, ...EXPERTS)]);
  });

  test("--n-cpu-moe 1 does not match block 10", () => {
    const made = plan("llama.cpp", { layers: 12, experts: 4 }, { ...all, nCpuMoe: 1 });
    expect(cpuBlocks(made)).toEqual([0]);
  });

  test("fused experts and chunked ones match as well", () => {
    const tensors = {
      "blk.0.ffn_up_exps.weight": { name: "blk.0.ffn_gate_up_exps.weight" },
      "blk.1.ffn_up_exps.weight": { name: "blk.1.ffn_up_chexps.weight" },
    };
    const made = plan("llama.cpp", { ...MOE, tensors }, { ...all, cpuMoe: true });
    expect(listed(made)).toEqual(expect.arrayContaining(["0.ffn_gate_up_exps", "1.ffn_up_chexps"]));
  });

  test("on a dense model they change nothing and are no error", () => {
    const made = plan("llama.cpp", DENSE, { ...all, cpuMoe: true, nCpuMoe: 3 });
    expect(listed(made)).toEqual(["token_embd"]);
  });

  test('"auto" is the reference\'s: llama.cpp has no such rule', () => {
    expect(listed(plan("llama.cpp", MOE, { ...all, cpuMoe: "auto" }))).toEqual(["token_embd"]);
  });

  test.each([0, 1, L])("--n-cpu-ffn %i counts the dense FFN from the head", (nCpuFfn) => {
    const made = plan("llama.cpp", DENSE, { ...all, nCpuFfn });
    const kept = made.runs
      .flatMap((run) => run.regions)
      .filter(({ reason }) => reason.includes("--n-cpu-ffn"))
      .map(({ tensor }) => tensor.name);
    const roles = ["ffn_gate", "ffn_up", "ffn_down"];
    const expected = below(nCpuFfn).flatMap((block) =>
      roles.map((role) => `blk.${block}.${role}.weight`),
    );
    expect(kept.sort()).toEqual(expected.sort());
  });

  test.each([-1, 1.5, Number.NaN])("--n-cpu-moe %d is refused", (nCpuMoe) => {
    expect(() => plan("llama.cpp", MOE, { nCpuMoe })).toThrow(
      expect.objectContaining({ code: "PREFAULT_INVALID_OPTION" }),
    );
  });
});

describe("-ot", () => {
  const all = { gpuLayers: 99 };

  test("puts on the CPU what -ngl offloads, and on the GPU what it leaves", () => {
    const made = plan("llama.cpp", DENSE, {
      gpuLayers: 99,
      overrides: [{ pattern: "blk\\.[01]\\.ffn", buffer: "CPU" }],
    });
    expect(cpuBlocks(made)).toEqual([0, 1]);
    const overrides = [{ pattern: ".", buffer: "CUDA0" }];
    expect(plan("llama.cpp", DENSE, { overrides }).runs).toEqual([]);
  });

  test("the first that matches wins", () => {
    const gpu = { pattern: "blk\\.0\\.", buffer: "Vulkan0" };
    const cpu = { pattern: "exps", buffer: "CPU" };
    const first = plan("llama.cpp", MOE, { ...all, overrides: [gpu, cpu] });
    expect(cpuBlocks(first)).toEqual(below(L).slice(1));
    expect(cpuBlocks(plan("llama.cpp", MOE, { ...all, overrides: [cpu, gpu] }))).toEqual(below(L));
  });

  test("beats --cpu-moe, unless it was given after it", () => {
    const overrides = [{ pattern: "blk\\.0\\.ffn_.*_exps", buffer: "CUDA0" }];
    const early = plan("llama.cpp", MOE, { ...all, cpuMoe: true, overrides });
    expect(cpuBlocks(early)).toEqual(below(L).slice(1));
    const late = plan("llama.cpp", MOE, { ...all, cpuMoe: true, lateOverrides: overrides });
    expect(cpuBlocks(late)).toEqual(below(L));
    const lateOverrides = [{ pattern: "blk\\.0\\.attn_q\\.w", buffer: "CPU" }];
    expect(listed(plan("llama.cpp", MOE, { ...all, lateOverrides }))).toContain("0.attn_q");
  });

  test("is unanchored and case-sensitive", () => {
    const overrides = [{ pattern: "p_sh", buffer: "CPU" }];
    expect(listed(plan("llama.cpp", MOE, { ...all, overrides }))).toContain("0.ffn_up_shexp");
    expect(() =>
      plan("llama.cpp", MOE, { overrides: [{ pattern: "FFN", buffer: "CPU" }] }),
    ).toThrow(expect.objectContaining({ code: "PREFAULT_UNKNOWN_TENSOR" }));
  });

  test("a pattern that matches nothing is an error that names it", () => {
    const overrides = [
      { pattern: "attn", buffer: "CPU" },
      { pattern: "ffn_dwon", buffer: "CPU" },
    ];
    expect(() => plan("llama.cpp", DENSE, { overrides })).toThrow(
      expect.objectContaining({
        code: "PREFAULT_UNKNOWN_TENSOR",
        message: expect.stringContaining("ffn_dwon"),
      }),
    );
  });

  test("a pattern whose tensors an earlier one took is no error", () => {
    const overrides = [
      { pattern: "ffn", buffer: "CPU" },
      { pattern: "ffn_up", buffer: "CUDA0" },
    ];
    expect(listed(plan("llama.cpp", DENSE, { ...all, overrides }))).toContain("0.ffn_up");
  });

  test.each([
    ["CPU", "run"],
    ["CUDA_Host", "run"],
    ["CPU_REPACK", "copied"],
    ["AMX", "copied"],
    ["CUDA0", "gpu"],
    ["Vulkan1", "gpu"],
  ])("buffer %s: %s", (buffer, place) => {
    const made = plan("llama.cpp", DENSE, { overrides: [{ pattern: "0.attn_q.w", buffer }] });
    const found = made.elsewhere.find(({ tensor }) => tensor.name === "blk.0.attn_q.weight");
    expect(found?.place ?? "run").toBe(place);
  });

  test("moves the embedding too", () => {
    const overrides = [{ pattern: "token_embd", buffer: "CUDA0" }];
    expect(listed(plan("llama.cpp", DENSE, { overrides }))).not.toContain("token_embd");
  });
});
