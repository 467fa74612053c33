import type { ModelShape } from "./model-shape.ts";
import { type TensorSpec, vector, weight } from "./tensor-spec.ts";

export function denseFeedForward(layer: number, shape: ModelShape): TensorSpec[] {
  const { hidden, feedForward, weightDtype } = shape;
  return [
    weight(`blk.${layer}.ffn_gate.weight`, weightDtype, hidden, feedForward),
    weight(`blk.${layer}.ffn_up.weight`, weightDtype, hidden, feedForward),
    weight(`blk.${layer}.ffn_down.weight`, weightDtype, feedForward, hidden),
  ];
}

/** The router and the stacked experts: one tensor a role and layer, all experts in it. */
export function routedExperts(layer: number, shape: ModelShape): TensorSpec[] {
  const { hidden, experts, expertFeedForward, expertDtype } = shape;
  return [
    weight(`blk.${layer}.ffn_gate_inp.weight`, "F32", hidden, experts),
    weight(
      `blk.${layer}.ffn_gate_exps.weight`,
      expertDtype ?? "Q5_0",
      hidden,
      expertFeedForward,
      experts,
    ),
    weight(
      `blk.${layer}.ffn_up_exps.weight`,
      expertDtype ?? "Q5_0",
      hidden,
      expertFeedForward,
      experts,
    ),
    weight(
      `blk.${layer}.ffn_down_exps.weight`,
      expertDtype ?? "Q5_1",
      expertFeedForward,
      hidden,
      experts,
    ),
  ];
}

export function sharedExpert(layer: number, shape: ModelShape): TensorSpec[] {
  const { hidden, feedForward, weightDtype } = shape;
  return [
    vector(`blk.${layer}.ffn_gate_inp_shexp.weight`, hidden, "weight"),
    weight(`blk.${layer}.ffn_gate_shexp.weight`, weightDtype, hidden, feedForward),
    weight(`blk.${layer}.ffn_up_shexp.weight`, weightDtype, hidden, feedForward),
    weight(`blk.${layer}.ffn_down_shexp.weight`, weightDtype, feedForward, hidden),
  ];
}
