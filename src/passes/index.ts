import { PrefaultError } from "../errors.ts";
import type { Model } from "../model/model.ts";
import { companionPlan } from "./companion.ts";
import { ikLlamaCpp } from "./llama/ik-llama-cpp.ts";
import { llamaCpp } from "./llama/llama-cpp.ts";
import { checkOverrides } from "./llama/placement.ts";
import {
  indexModel,
  type ModelPlan,
  PASS_NAMES,
  type Pass,
  type PassName,
  type PlacementOf,
} from "./pass.ts";
import { checkPlacement } from "./placement.ts";
import { cudaHybrid } from "./sharpinference/cuda-hybrid.ts";
import { cudaHybridGdn } from "./sharpinference/cuda-hybrid-gdn.ts";
import { forward } from "./sharpinference/forward.ts";
import { hybrid } from "./sharpinference/hybrid.ts";
import { hybridGdn } from "./sharpinference/hybrid-gdn.ts";
import { vulkanHybridGdn } from "./sharpinference/vulkan-hybrid-gdn.ts";

export type { HyperParameters } from "./gguf/hyper-parameters.ts";
export {
  type NodeLlamaCppModel,
  type NodeLlamaCppPlacement,
  placementOfNodeLlamaCpp,
} from "./llama/node-llama-cpp.ts";
export { parseOverrides, type TensorOverride } from "./llama/overrides.ts";
export { hasOverrides, type LlamaPlacement } from "./llama/placement.ts";
export {
  type Elsewhere,
  type IndexedModel,
  indexModel,
  type ModelPlan,
  PASS_NAMES,
  type Pass,
  type PassName,
  type PassPlan,
  type PassRun,
  type Placement,
  type PlacementOf,
  type PlannedTensor,
  type RunName,
  type UnplannedTensor,
} from "./pass.ts";
export type { CommonPlacement } from "./placement.ts";
export { type PlannedModels, planEach } from "./plan-each.ts";
export { embeddingStaysOnCpu } from "./sharpinference/embedding.ts";
export type { ReferencePlacement } from "./sharpinference/placement.ts";

/** Every pass under its name in `--engine`. */
const PASSES: { readonly [Name in PassName]: Pass<PlacementOf<Name>> } = {
  "llama.cpp": llamaCpp,
  "ik_llama.cpp": ikLlamaCpp,
  forward,
  hybrid,
  "cuda-hybrid": cudaHybrid,
  "cuda-hybrid-gdn": cudaHybridGdn,
  "vulkan-hybrid-gdn": vulkanHybridGdn,
  "hybrid-gdn": hybridGdn,
};

/** The pass of a name, with the placement that it takes. */
export function passOf<Name extends PassName>(name: Name): Pass<PlacementOf<Name>> {
  return PASSES[name] as unknown as Pass<PlacementOf<Name>>;
}

function isPassName(name: string): name is PassName {
  return (PASS_NAMES as readonly string[]).includes(name);
}

/**
 * Plans which tensors of a model inference reads from the mapping, in order and with reasons, and where the
 * others are. A file that is loaded beside a model (a projector, an adapter) is planned as a whole.
 *
 * @param pass - @defaultValue `"llama.cpp"`, the engine most files are made for
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` for an unknown pass or an impossible placement,
 * `PREFAULT_UNKNOWN_TENSOR` for a pattern that matches nothing or a tensor that the pass needs,
 * `PREFAULT_INVALID_MODEL` for impossible metadata.
 */
export function planPass<Name extends PassName = "llama.cpp">(
  model: Model,
  placement: PlacementOf<Name> = {} as PlacementOf<Name>,
  pass: Name = "llama.cpp" as Name,
): ModelPlan {
  // A caller without types may give any name.
  if (!isPassName(pass)) {
    throw new PrefaultError(
      "PREFAULT_INVALID_OPTION",
      `there is no pass ${JSON.stringify(String(pass))}; there are ${PASS_NAMES.join(", ")}`,
    );
  }
  checkPlacement(placement);
  checkOverrides(placement);
  const plan =
    (model.kind ?? "model") === "model"
      ? passOf<Name>(pass)(indexModel(model), placement)
      : companionPlan(model, pass);
  return { ...plan, notes: [...(model.notes ?? []), ...plan.notes], model };
}
