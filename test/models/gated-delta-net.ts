import type { Architecture } from "./architecture.ts";
import { attention, deltaNetShape, gatedDeltaNet } from "./attention-blocks.ts";
import { denseFeedForward, routedExperts, sharedExpert } from "./feed-forward-blocks.ts";
import { i32s, type Metadata, u32 } from "./gguf-metadata.ts";
import { HEAD_LENGTH, type ModelShape } from "./model-shape.ts";
import { type TensorSpec, vector, weight } from "./tensor-spec.ts";

const FULL_ATTENTION_INTERVAL = 4;

/** Qwen3.5, dense or mixture: three recurrent layers to one of attention, and a prediction head at the end. */
export function gatedDeltaNetModel(kind: "gdn" | "gdn-moe", shape: ModelShape): Architecture {
  const { layers, hidden, mtp } = shape;
  const feedForward = (layer: number): TensorSpec[] => [
    // No ffn_norm: the norm after attention is what the feed-forward reads.
    vector(`blk.${layer}.post_attention_norm.weight`, hidden),
    ...(kind === "gdn"
      ? denseFeedForward(layer, shape)
      : [...routedExperts(layer, shape), ...sharedExpert(layer, shape)]),
  ];
  const fullAttention = (layer: number): TensorSpec[] =>
    attention(layer, shape, { headNorms: true, gatedQuery: true });
  const blocks = Array.from({ length: layers }, (_, layer) => [
    ...((layer + 1) % FULL_ATTENTION_INTERVAL === 0
      ? fullAttention(layer)
      : gatedDeltaNet(layer, shape)),
    ...feedForward(layer),
  ]).flat();
  if (mtp)
    blocks.push(...fullAttention(layers), ...feedForward(layers), ...predictionHead(layers, shape));

  return {
    name: kind === "gdn" ? "qwen35" : "qwen35moe",
    metadata: {
      ...recurrentMetadata(shape),
      ...(kind === "gdn-moe" ? { expert_shared_feed_forward_length: u32(shape.feedForward) } : {}),
      // The head is a block like the others to llama.cpp, so the block count includes it.
      ...(mtp ? { block_count: u32(layers + 1), nextn_predict_layers: u32(1) } : {}),
    },
    blocks,
  };
}

function predictionHead(layer: number, { hidden, weightDtype }: ModelShape): TensorSpec[] {
  return [
    weight(`blk.${layer}.nextn.eh_proj.weight`, weightDtype, 2 * hidden, hidden),
    vector(`blk.${layer}.nextn.enorm.weight`, hidden),
    vector(`blk.${layer}.nextn.hnorm.weight`, hidden),
    vector(`blk.${layer}.nextn.shared_head_norm.weight`, hidden),
  ];
}

function recurrentMetadata(shape: ModelShape): Metadata {
  const { valueHeads, keyHeads, values, kernel } = deltaNetShape(shape);
  return {
    full_attention_interval: u32(FULL_ATTENTION_INTERVAL),
    "rope.dimension_count": u32(HEAD_LENGTH / 2),
    "rope.dimension_sections": i32s([6, 5, 5, 0]),
    "ssm.conv_kernel": u32(kernel),
    "ssm.state_size": u32(HEAD_LENGTH),
    "ssm.group_count": u32(keyHeads),
    "ssm.time_step_rank": u32(valueHeads),
    "ssm.inner_size": u32(values),
  };
}
