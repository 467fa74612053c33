import { PrefaultError } from "../errors.ts";
import type { TensorOverride } from "./llama/overrides.ts";

/** Where an engine puts the parts of a model, as plain data. Everything is optional. */
export interface Placement {
  /**
   * Layers on the GPU. Negative: all. The passes of the reference count from the first layer,
   * llama.cpp from the last, with the output head before it.
   * @defaultValue `0`
   */
  readonly gpuLayers?: number;
  /**
   * Routed experts of GPU layers are computed on the CPU. `"auto"` decides as the reference does:
   * on when the GPU's expert cache would hold less than half of them. llama.cpp knows no such rule.
   * @defaultValue `"auto"` for the reference's passes, `false` for llama.cpp and ik_llama.cpp
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
   * when one is too large for a GPU buffer, see {@link embeddingStaysOnCpu}.
   * @defaultValue `"auto"`
   */
  readonly embedding?: "cpu" | "gpu" | "auto";
  /**
   * Tables over 4 GiB of which a token reads a few rows.
   * @defaultValue `"exclude"`, because making one resident may evict what every token reads
   */
  readonly lazyTables?: "include" | "exclude";
  /** cuda-hybrid-gdn: the gated delta nets run on the CPU (a debugging aid of the reference). */
  readonly cpuGdn?: boolean;
  /** llama.cpp only: `-ot`. The first that matches wins, before {@link cpuMoe} and {@link nCpuMoe}. */
  readonly overrides?: readonly TensorOverride[];
  /** llama.cpp only: `-ot` given after `--cpu-moe` or `--n-cpu-moe`, which win over it. */
  readonly lateOverrides?: readonly TensorOverride[];
  /** llama.cpp only: routed experts of the first N blocks on the CPU. @defaultValue `0` */
  readonly nCpuMoe?: number;
  /** llama.cpp only: the dense FFN of the first N blocks on the CPU. @defaultValue `0` */
  readonly nCpuFfn?: number;
  /**
   * llama.cpp only: `false` for `--no-repack`, so that the plan does not warn of repacked copies.
   * @defaultValue `true`
   */
  readonly repack?: boolean;
  /**
   * llama.cpp only: the MTP blocks are used for speculation.
   * @defaultValue `false`: llama.cpp skips them when it loads the model for anything else
   */
  readonly mtp?: boolean;
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

/** A table over this many bytes is lazy: llama.cpp's `--lazy-mode auto`. */
export const LAZY_TABLE_BYTES = 4 * 2 ** 30;

const FLAGS = ["cpuGdn", "mtp", "reference", "repack"] as const;
const CHOICES = {
  cpuMoe: [true, false, "auto"],
  embedding: ["cpu", "gpu", "auto"],
  lazyTables: ["include", "exclude"],
} as const;
const LISTS = ["overrides", "lateOverrides"] as const;

/**
 * Refuses a value of a type that its option cannot have. Numbers are checked by who reads them, and
 * fields that are no option are left alone.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION`, which names the option
 */
export function checkPlacement(placement: Placement): void {
  if (typeof placement !== "object" || placement === null) {
    throw invalidOption("placement", placement, "it must be an object");
  }
  for (const name of FLAGS) {
    const value: unknown = placement[name];
    if (value !== undefined && typeof value !== "boolean") {
      throw invalidOption(name, value, "it must be true or false");
    }
  }
  for (const [name, choices] of Object.entries(CHOICES)) {
    const value: unknown = placement[name as keyof typeof CHOICES];
    if (value !== undefined && !(choices as readonly unknown[]).includes(value)) {
      throw invalidOption(name, value, `it must be one of ${choices.join(", ")}`);
    }
  }
  for (const name of LISTS) {
    const value: unknown = placement[name];
    if (value === undefined) continue;
    const isOverride = (each: Partial<TensorOverride> | null) =>
      typeof each?.pattern === "string" && typeof each.buffer === "string";
    if (!Array.isArray(value) || !value.every(isOverride)) {
      throw invalidOption(
        name,
        value,
        "it must be a list of { pattern, buffer }, see parseOverrides",
      );
    }
  }
}

/**
 * The number of GPU layers between 0 and `most`; negative means `most`.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION`
 */
export function clampGpuLayers(placement: Placement, most: number): number {
  const layers = wholeNumber("gpuLayers", placement.gpuLayers ?? 0);
  return layers < 0 ? most : Math.min(layers, most);
}

/** The dense FFN layers that are on the GPU. */
export function gpuFfnLayers(placement: Placement, layers: number): ReadonlySet<number> {
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

/** The reference refuses these rather than guess; so does a pass of it here. */
export function rejectLlamaOptions(pass: string, placement: Placement): void {
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
export function rejectGpuLayers(pass: string, placement: Placement): void {
  const layers = wholeNumber("gpuLayers", placement.gpuLayers ?? 0);
  if (layers === 0 || placement.reference === true) return;
  throw invalidOption("gpuLayers", layers, `${pass} computes every layer on the CPU`);
}

/** @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` */
export function wholeNumber(name: string, value: number): number {
  if (Number.isSafeInteger(value)) return value;
  throw invalidOption(name, value, "it must be a whole number");
}

/** @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` */
export function byteCount(name: string, value: number): number {
  if (Number.isFinite(value) && value >= 0) return value;
  throw invalidOption(name, value, "it must be a number of bytes, zero or more");
}

export function invalidOption(name: string, value: unknown, problem: string): PrefaultError {
  return new PrefaultError("PREFAULT_INVALID_OPTION", `${name} is ${shown(value)}: ${problem}`);
}

/** Any value in a message: some have no JSON, and some no text either. */
function shown(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "object" && value !== null)
    return Array.isArray(value) ? "a list" : "an object";
  return String(value);
}
