import { describe, expect, test } from "vitest";
import {
  embeddingStaysOnCpu,
  indexModel,
  type LlamaPlacement,
  PASS_NAMES,
  type PassName,
  placementOfNodeLlamaCpp,
  planPass,
} from "../../../src/passes/index.ts";
import { bytesPerExpert } from "../../../src/passes/sharpinference/cpu-moe.ts";
import { indexed, listed, modelOf, plan, type Shape } from "./models.ts";

const REFERENCE_PASSES = PASS_NAMES.filter((name) => !name.endsWith("llama.cpp"));

describe("numbers", () => {
  test.each([1.5, Number.NaN, Number.POSITIVE_INFINITY])("gpuLayers %d is refused", (gpuLayers) => {
    for (const pass of ["llama.cpp", "ik_llama.cpp", "cuda-hybrid", "hybrid", "forward"] as const) {
      expect(() => plan(pass, { layers: 2 }, { gpuLayers })).toThrow(
        expect.objectContaining({ code: "PREFAULT_INVALID_OPTION" }),
      );
    }
  });

  test.each(["cuda-hybrid", "hybrid"] as const)("%s: the first layers, negative is all", (pass) => {
    const blocks = (gpuLayers: number) =>
      listed(plan(pass, { layers: 3 }, { gpuLayers, embedding: "gpu" })).filter((name) =>
        name.endsWith("attn_q"),
      );
    expect(blocks(1)).toEqual(["1.attn_q", "2.attn_q"]);
    expect(blocks(99)).toEqual([]);
    expect(blocks(-1)).toEqual([]);
  });
});

test.each([
  ["gpuLayers", 5n],
  ["gpuLayers", {}],
  ["nCpuMoe", 2n],
  ["nCpuFfn", Symbol("n")],
  ["cpuMoe", "yes"],
  ["cpuMoe", 1n],
  ["lazyTables", "no"],
  ["embedding", 3n],
  ["mtp", "true"],
  ["repack", 0],
  ["reference", 1],
  ["overrides", "exps=CPU"],
  ["overrides", [{ pattern: 1n, buffer: "CPU" }]],
  ["lateOverrides", [null]],
])("%s: %o is a usage error that names the option", (name, value) => {
  const placement = { [name]: value } as LlamaPlacement;
  expect(() => planPass(modelOf({ layers: 2 }), placement)).toThrow(
    expect.objectContaining({
      code: "PREFAULT_INVALID_OPTION",
      message: expect.stringContaining(`${name} is `),
    }),
  );
});

test.each(REFERENCE_PASSES)("%s refuses --n-cpu-moe and -ot, as the reference does", (pass) => {
  const shape = { layers: 4, gdn: pass.endsWith("gdn") };
  for (const nCpuMoe of [20, 0, -1]) {
    expect(() => plan(pass, shape, { nCpuMoe })).toThrow(
      expect.objectContaining({
        code: "PREFAULT_INVALID_OPTION",
        message: expect.stringContaining("--cpu-moe"),
      }),
    );
  }
  expect(() => plan(pass, shape, { overrides: [{ pattern: "a", buffer: "CPU" }] })).toThrow(
    expect.objectContaining({ code: "PREFAULT_INVALID_OPTION" }),
  );
});

test("an unknown pass is refused, and the others are named", () => {
  expect(() => planPass(modelOf({ layers: 1 }), {}, "vulkan" as PassName)).toThrow(
    expect.objectContaining({
      code: "PREFAULT_INVALID_OPTION",
      message: expect.stringContaining("cuda-hybrid-gdn"),
    }),
  );
});

describe("embedding residency: over 2^31 - 1 bytes on the GPU it stays on the CPU", () => {
  const stays = (pass: PassName, embedding: object, output: object = {}) => {
    const tensors = { "token_embd.weight": embedding, "output.weight": output };
    return embeddingStaysOnCpu(pass, indexed({ layers: 1, tensors }));
  };
  const elements = [4096, 151_936];
  const large = (dtype: string) => ({ dtype, shape: elements, byteLength: 622_329_856 });

  test("Qwen3-8B: Q6_K expands to 2,489,319,424 bytes and stays, Q4_K does not", () => {
    expect(stays("cuda-hybrid", large("Q6_K"))).toBe(true);
    expect(stays("hybrid", large("Q6_K"))).toBe(true);
    expect(stays("cuda-hybrid", large("Q4_K"))).toBe(false);
  });

  test("each pass has its own types", () => {
    expect(stays("cuda-hybrid-gdn", large("Q5_K"))).toBe(false);
    expect(stays("vulkan-hybrid-gdn", large("Q5_K"))).toBe(true);
    expect(stays("vulkan-hybrid-gdn", large("Q6_K"))).toBe(false);
    expect(stays("cuda-hybrid", {}, large("Q6_K"))).toBe(false);
    expect(stays("cuda-hybrid", {}, large("Q5_K"))).toBe(true);
    expect(stays("vulkan-hybrid-gdn", {}, large("Q8_0"))).toBe(false);
  });

  test("the border, and the rounding to 4 bytes on CUDA", () => {
    const raw = (byteLength: number) => ({ dtype: "Q4_K", byteLength });
    expect(stays("cuda-hybrid", raw(2 ** 31 - 4))).toBe(false);
    expect(stays("cuda-hybrid", raw(2 ** 31 - 3))).toBe(true);
    expect(stays("vulkan-hybrid-gdn", raw(2 ** 31 - 1))).toBe(false);
    expect(stays("vulkan-hybrid-gdn", raw(2 ** 31))).toBe(true);
  });

  test("the CPU passes keep it always", () => {
    expect(stays("forward", {})).toBe(true);
  });

  test("one tensor that is too large keeps all three, in GDN passes only when mended", () => {
    const shape: Shape = {
      layers: 4,
      gdn: true,
      tensors: { "token_embd.weight": large("Q8_0") },
    };
    for (const pass of ["cuda-hybrid-gdn", "vulkan-hybrid-gdn"] as const) {
      const made = plan(pass, shape, { denseFfnOnGpu: 4 });
      expect(listed(made)).toEqual(["token_embd", "output_norm", "output"]);
      expect(made.notes).toEqual([expect.stringContaining("too large")]);
      const before = plan(pass, shape, { denseFfnOnGpu: 4, reference: true });
      expect(listed(before)).not.toContain("token_embd");
    }
    const hybrid = plan("hybrid", { ...shape, gdn: false }, { gpuLayers: 4 });
    expect(listed(hybrid)).toEqual(["token_embd", "output_norm", "output"]);
  });
});

describe("CPU-MoE on auto", () => {
  const MOE: Shape = { layers: 4, experts: 8 };
  const hasRouter = (made: ReturnType<typeof plan>) => listed(made).includes("0.ffn_gate_inp");
  const perExpert = (3 * 4096) / 8;

  test("the size of an expert is that of its three slices", () => {
    expect(bytesPerExpert(indexed(MOE))).toBe(perExpert);
    expect(bytesPerExpert(indexed({ ...MOE, leadingDense: 1 }))).toBe(perExpert);
    expect(bytesPerExpert(indexed({ layers: 2 }))).toBe(0);
  });

  test("cuda-hybrid: on when the cache holds less than half of the GPU layers' experts", () => {
    const auto = (slots: number) =>
      hasRouter(
        plan("cuda-hybrid", MOE, {
          gpuLayers: 4,
          cpuMoe: "auto",
          expertCacheBytes: slots * perExpert,
        }),
      );
    expect(auto(15)).toBe(true);
    expect(auto(16)).toBe(false);
    expect(auto(15.99)).toBe(true);
  });

  test("GDN: never fewer than 64 slots, 2 GiB kept back", () => {
    const vram = (vramBytes: number, layers: number) =>
      hasRouter(
        plan("cuda-hybrid-gdn", { ...MOE, layers, gdn: true }, { vramBytes, nonMoeBytes: 0 }),
      );
    expect(vram(0, 16)).toBe(false);
    expect(vram(0, 20)).toBe(true);
    expect(vram(2 * 2 ** 30 + 80 * perExpert, 20)).toBe(false);
    expect(vram(2 * 2 ** 30 + 79 * perExpert, 20)).toBe(true);
  });

  test("with nothing known it is assumed on, and said", () => {
    const made = plan("cuda-hybrid", MOE, { gpuLayers: 2 });
    expect(hasRouter(made)).toBe(true);
    expect(made.notes).toEqual([expect.stringContaining("assumed")]);
    expect(plan("cuda-hybrid", { layers: 4 }, { gpuLayers: 2 }).notes).toEqual([]);
  });

  test.each([-1, Number.NaN])("%d bytes are refused", (bytes) => {
    expect(() => plan("cuda-hybrid", MOE, { gpuLayers: 2, expertCacheBytes: bytes })).toThrow(
      expect.objectContaining({ code: "PREFAULT_INVALID_OPTION" }),
    );
    expect(() => plan("vulkan-hybrid-gdn", { ...MOE, gdn: true }, { vramBytes: bytes })).toThrow(
      expect.objectContaining({ code: "PREFAULT_INVALID_OPTION" }),
    );
  });
});

test("layers that borrow keys have none listed; k==v layers have no values", () => {
  const shape: Shape = { arch: "gemma4", layers: 3, sharedKv: 1, keyIsValue: [1] };
  for (const pass of ["forward", "cuda-hybrid"] as const) {
    const names = listed(plan(pass, shape));
    expect(names.filter((name) => name.endsWith("attn_k"))).toEqual(["0.attn_k", "1.attn_k"]);
    expect(names.filter((name) => name.endsWith("attn_v"))).toEqual(["0.attn_v"]);
  }
});

test("too many GPU layers for borrowed keys is a note, not an error", () => {
  const shape: Shape = { arch: "gemma4", layers: 4, sharedKv: 2 };
  expect(plan("cuda-hybrid", shape, { gpuLayers: 1 }).notes).toEqual([]);
  expect(plan("cuda-hybrid", shape, { gpuLayers: 3 }).notes).toEqual([
    expect.stringContaining("layer 1"),
  ]);
});

test("cuda-hybrid-gdn lists the gated delta nets when they are debugged on the CPU", () => {
  const names = listed(plan("cuda-hybrid-gdn", { layers: 4, gdn: true }, { cpuGdn: true }));
  expect(names.filter((name) => name.endsWith("ssm_out"))).toEqual([
    "0.ssm_out",
    "1.ssm_out",
    "2.ssm_out",
  ]);
});

describe("node-llama-cpp", () => {
  test.each([
    [{ gpuLayers: 12 }, 12],
    [{ gpuLayers: 0 }, 0],
    [{ gpuLayers: "max" }, -1],
    [{ gpuLayers: { min: 4, max: 4 } }, 4],
    [{ gpuLayers: { max: 0 } }, 0],
  ] as const)("%j is known before the load", (options, gpuLayers) => {
    const answer = placementOfNodeLlamaCpp({ ...options, modelPath: "/m.gguf" });
    expect(answer).toEqual({
      known: true,
      placement: { gpuLayers, lazyTables: "include" },
      modelPath: "/m.gguf",
      notes: [],
    });
  });

  test.each([
    {},
    { gpuLayers: "auto" },
    { gpuLayers: { min: 2 } },
    { gpuLayers: { min: 2, max: 9 } },
    { gpuLayers: { fitContext: {} } },
  ] as const)("%j is not", (options) => {
    expect(placementOfNodeLlamaCpp(options)).toMatchObject({
      known: false,
      reason: expect.stringContaining("loaded model"),
    });
  });

  test("a loaded model answers with its number, and fits the llama.cpp pass", () => {
    class LlamaModel {
      get gpuLayers() {
        return 2;
      }
    }
    const answer = placementOfNodeLlamaCpp(new LlamaModel());
    expect(answer.known && listed(planPass(modelOf({ layers: 2 }), answer.placement))).toContain(
      "0.attn_q",
    );
  });

  test.each([-1, 1.5, Number.NaN])("%d layers are refused", (gpuLayers) => {
    expect(() => placementOfNodeLlamaCpp({ gpuLayers })).toThrow(
      expect.objectContaining({ code: "PREFAULT_INVALID_OPTION" }),
    );
  });

  test.each([{ useMmap: false }, { useDirectIo: true }, { useMlock: true }])(
    "%j is noted",
    (options) => {
      const answer = placementOfNodeLlamaCpp({ gpuLayers: 1, ...options });
      expect(answer.known && answer.notes).toHaveLength(1);
    },
  );
});

test("a safetensors model has no placement", () => {
  const model = { ...modelOf({ layers: 1 }), format: "safetensors" as const, metadata: {} };
  expect(() => indexModel(model)).toThrow(
    expect.objectContaining({ code: "PREFAULT_INVALID_MODEL" }),
  );
});
