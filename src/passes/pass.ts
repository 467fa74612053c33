import type { Gate } from "../gate.ts";
import type { Model, Tensor } from "../model/model.ts";
import { type HyperParameters, readHyperParameters } from "./gguf/hyper-parameters.ts";
import { TensorIndex } from "./gguf/tensor-index.ts";
import type { LlamaPlacement } from "./llama/placement.ts";
import type { ReferencePlacement } from "./sharpinference/placement.ts";

/** The names of the passes, as `--engine` takes them. */
export const PASS_NAMES = [
  "llama.cpp",
  "ik_llama.cpp",
  "forward",
  "hybrid",
  "cuda-hybrid",
  "cuda-hybrid-gdn",
  "vulkan-hybrid-gdn",
  "hybrid-gdn",
] as const;

export type PassName = (typeof PASS_NAMES)[number];

/** A model with what every pass needs. */
export interface IndexedModel {
  readonly index: TensorIndex;
  readonly hyper: HyperParameters;
}

/** A tensor that inference reads from the mapping, with the reason. */
export interface PlannedTensor {
  readonly tensor: Tensor;
  /** In words, from a small set, so that a table can be grouped by it. */
  readonly reason: string;
}

/** The runs of a plan, in the order in which they are filled. */
export type RunName = "core" | "experts";

/** Tensors that one gate decides on: all of them are made resident, or none. */
export interface PassRun {
  /** `core`: what every token reads. `experts`: routed experts, of which a token reads a few. */
  readonly name: RunName;
  /** Names the run in the log and in the report. */
  readonly label: string;
  readonly gate: Gate;
  /** In the order of the pass. */
  readonly regions: readonly PlannedTensor[];
}

/**
 * The place of a tensor that no run lists.
 *
 * - `gpu`: uploaded.
 * - `copied`: converted into private memory at load.
 * - `lazy`: a table of which a token reads a few rows.
 * - `unused`: not read at all.
 */
export type Elsewhere = "gpu" | "copied" | "lazy" | "unused";

export interface UnplannedTensor {
  readonly tensor: Tensor;
  readonly place: Elsewhere;
  readonly reason: string;
}

/**
 * The tensors that a pass makes resident, and the places of all others. Every tensor of the model comes
 * once, unless the placement has `reference: true`.
 */
export interface PassPlan {
  readonly pass: PassName;
  /** In order. A run without tensors is left out. */
  readonly runs: readonly PassRun[];
  readonly elsewhere: readonly UnplannedTensor[];
  /** Remarks on the plan, one sentence each. */
  readonly notes: readonly string[];
}

/** A plan with its model: a target of `prefault`. */
export interface ModelPlan extends PassPlan {
  readonly model: Model;
}

/** Makes the plan of one engine. Pure: it opens no file (defect D10). */
export type Pass<P> = (model: IndexedModel, placement: P) => PassPlan;

export type LlamaPass = Pass<LlamaPlacement>;
export type ReferencePass = Pass<ReferencePlacement>;

/** The placement of any engine. */
export type Placement = LlamaPlacement | ReferencePlacement;

/** The placement that a pass takes. */
export type PlacementOf<Name extends PassName> = Name extends "llama.cpp" | "ik_llama.cpp"
  ? LlamaPlacement
  : ReferencePlacement;

/**
 * Prepares a model for any number of passes.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_MODEL`
 */
export function indexModel(model: Model): IndexedModel {
  const index = new TensorIndex(model);
  return { index, hyper: readHyperParameters(model, index) };
}
