import { type CommonPlacement, invalidOption } from "../placement.ts";
import type { TensorOverride } from "./overrides.ts";

/** The placement of a model by llama.cpp or ik_llama.cpp. All fields are optional. */
export interface LlamaPlacement extends CommonPlacement {
  /** `--cpu-moe`: routed experts of every layer on the CPU. @defaultValue `false` */
  readonly cpuMoe?: boolean;
  /** `--n-cpu-moe`: routed experts of the first N blocks on the CPU. @defaultValue `0` */
  readonly nCpuMoe?: number;
  /** `--n-cpu-ffn`: the dense FFN of the first N blocks on the CPU. @defaultValue `0` */
  readonly nCpuFfn?: number;
  /** `-ot`. The first that matches wins, before {@link cpuMoe} and {@link nCpuMoe}. */
  readonly overrides?: readonly TensorOverride[];
  /** `-ot` given after `--cpu-moe` or `--n-cpu-moe`, which win over it. */
  readonly lateOverrides?: readonly TensorOverride[];
  /**
   * `false` for `--no-repack`: the plan then has no note on repacked copies.
   * @defaultValue `true`
   */
  readonly repack?: boolean;
  /**
   * The MTP blocks are used for speculation.
   * @defaultValue `false`: llama.cpp skips them when it loads the model for anything else
   */
  readonly mtp?: boolean;
}

const LISTS = ["overrides", "lateOverrides"] as const;

/** @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION`, which names the option */
export function checkOverrides(given: object): void {
  const placement: LlamaPlacement = given;
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

/** Whether a placement puts tensors by hand. */
export function hasOverrides(placement: LlamaPlacement): boolean {
  const { overrides = [], lateOverrides = [], cpuMoe, nCpuMoe = 0, nCpuFfn = 0 } = placement;
  const count = overrides.length + lateOverrides.length + nCpuMoe + nCpuFfn;
  return count > 0 || cpuMoe === true;
}
