import type { LlamaPlacement } from "../llama/placement.ts";
import { type CommonPlacement, invalidOption, wholeNumber } from "../placement.ts";

/** The placement of a model by a pass of SharpInference. All fields are optional. */
export interface ReferencePlacement extends CommonPlacement {
  /**
   * Routed experts of GPU layers are computed on the CPU. `"auto"` decides as SharpInference does: on
   * when the GPU's expert cache would hold less than half of them.
   * @defaultValue `"auto"`
   */
  readonly cpuMoe?: boolean | "auto";
  /** `"auto"` in cuda-hybrid: bytes of VRAM left for cached experts. */
  readonly expertCacheBytes?: number;
  /** `"auto"` in the GDN passes: bytes of VRAM. */
  readonly vramBytes?: number;
  /** `"auto"` in the GDN passes. @defaultValue the bytes of all tensors but the routed experts */
  readonly nonMoeBytes?: number;
  /**
   * GDN passes of a dense model: FFN layers that are on the GPU, as a list or, since both engines
   * fill from layer 0 upward, as a count.
   * @defaultValue `0`
   */
  readonly denseFfnOnGpu?: number | readonly number[];
  /**
   * Where `token_embd`, `output_norm` and `output` are, all three together. `"auto"`: on the CPU
   * when one of them is larger on the GPU than 2^31 - 1 bytes.
   * @defaultValue `"auto"`
   */
  readonly embedding?: "cpu" | "gpu" | "auto";
  /** cuda-hybrid-gdn: the gated delta nets run on the CPU (a debugging aid of SharpInference). */
  readonly cpuGdn?: boolean;
  /**
   * Reproduces the reference's list, order and gates exactly, its defects included. What each pass
   * of the reference does, and does not do here unless this is set:
   *
   * | defect | reference | here |
   * | --- | --- | --- |
   * | D1 | sweeps the whole model beside a GPU pass | a CPU pass refuses GPU layers |
   * | D2 | faults models larger than RAM | routed experts wait for free memory |
   * | D3 | one gate on total RAM, all or nothing | experts are a run of their own, against free RAM |
   * | D4 | `forward` omits per-layer embeddings | listed |
   * | D5 | `cuda-hybrid-gdn` lists FFN layers of the GPU | not listed |
   * | D6 | a tied embedding twice in the CPU passes | once |
   * | D7 | GDN: no experts behind the GPU's cache, no router on Vulkan | listed |
   * | D8 | nothing is de-duplicated | every tensor at most once; `plan/` merges neighbours |
   * | D9 | no check against the file's size | always checked, with this option too |
   * | D10 | the sweep delays the load | a plan is data, and whoever sweeps may do it beside a load |
   * | D11 | `cuda-hybrid` lists PLE tensors of GPU layers | not listed |
   *
   * @defaultValue `false`
   */
  readonly reference?: boolean;
}

/** The dense FFN layers that are on the GPU. */
export function gpuFfnLayers(placement: ReferencePlacement, layers: number): ReadonlySet<number> {
  const given = placement.denseFfnOnGpu ?? 0;
  if (typeof given === "number") {
    const count = Math.min(Math.max(wholeNumber("denseFfnOnGpu", given), 0), layers);
    return new Set(Array.from({ length: count }, (_, layer) => layer));
  }
  if (!Array.isArray(given)) {
    throw invalidOption("denseFfnOnGpu", given, "it must be a count or a list of layers");
  }
  return new Set(given.map((layer) => wholeNumber("denseFfnOnGpu", layer)));
}

/** Refuses options of llama.cpp, as the reference does. */
export function rejectLlamaOptions(pass: string, given: object): void {
  const placement: LlamaPlacement = given;
  if (placement.nCpuMoe !== undefined) {
    // Also for 0 and -1: the reference's placement of experts is all or nothing.
    throw invalidOption("nCpuMoe", placement.nCpuMoe, `${pass} knows only --cpu-moe`);
  }
  if (placement.nCpuFfn !== undefined) {
    throw invalidOption("nCpuFfn", placement.nCpuFfn, `${pass} has no such placement`);
  }
  const overrides = [...(placement.overrides ?? []), ...(placement.lateOverrides ?? [])];
  if (overrides.length > 0) {
    throw invalidOption("overrides", overrides[0]?.pattern, `${pass} has no tensor overrides`);
  }
}

/**
 * Defect D1: with GPU layers the reference still builds its CPU pass, whose constructor sweeps the
 * whole model whatever the placement says. Here a CPU pass with GPU layers is a contradiction.
 */
export function rejectGpuLayers(pass: string, placement: ReferencePlacement): void {
  const layers = wholeNumber("gpuLayers", placement.gpuLayers ?? 0);
  if (layers === 0 || placement.reference === true) return;
  throw invalidOption("gpuLayers", layers, `${pass} computes every layer on the CPU`);
}
