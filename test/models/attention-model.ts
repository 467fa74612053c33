import type { Architecture } from "./architecture.ts";
import { attention } from "./attention-blocks.ts";
import { denseFeedForward, routedExperts, sharedExpert } from "./feed-forward-blocks.ts";
import { u32 } from "./gguf-metadata.ts";
import type { ModelShape } from "./model-shape.ts";
import { type TensorSpec, vector } from "./tensor-spec.ts";

/**
 * Attention in every layer: Qwen3 (dense), Qwen3-MoE, and Qwen2-MoE for its shared expert. Together they
 * have head norms and attention biases, which a loader copies and which are therefore never pre-faulted.
 */
export function attentionModel(
  kind: "dense" | "dense-tied" | "moe" | "moe-shared",
  shape: ModelShape,
): Architecture {
  const eachLayer = (build: (layer: number) => TensorSpec[]): TensorSpec[] =>
    Array.from({ length: shape.layers }, (_, layer) => build(layer)).flat();
  const ffnNorm = (layer: number): TensorSpec =>
    vector(`blk.${layer}.ffn_norm.weight`, shape.hidden);

  switch (kind) {
    case "dense":
    case "dense-tied":
      return {
        name: "qwen3",
        metadata: {},
        tied: kind === "dense-tied",
        blocks: eachLayer((layer) => [
          ...attention(layer, shape, { headNorms: true }),
          ffnNorm(layer),
          ...denseFeedForward(layer, shape),
        ]),
      };
    case "moe":
      return {
        name: "qwen3moe",
        metadata: {},
        blocks: eachLayer((layer) => [
          ...attention(layer, shape, { headNorms: true }),
          ffnNorm(layer),
          ...routedExperts(layer, shape),
        ]),
      };
    case "moe-shared":
      return {
        name: "qwen2moe",
        metadata: { expert_shared_feed_forward_length: u32(shape.feedForward) },
        blocks: eachLayer((layer) => [
          ...attention(layer, shape, { biases: true }),
          ffnNorm(layer),
          ...routedExperts(layer, shape),
          ...sharedExpert(layer, shape),
        ]),
      };
  }
}
