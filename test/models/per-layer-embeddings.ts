import type { Architecture } from "./architecture.ts";
import { attention } from "./attention-blocks.ts";
import { denseFeedForward } from "./feed-forward-blocks.ts";
import { bools, f32, u32 } from "./gguf-metadata.ts";
import { HEAD_LENGTH, type ModelShape } from "./model-shape.ts";
import { type TensorSpec, vector, weight } from "./tensor-spec.ts";

/** One layer in three attends to everything; real files have one in five or six, which needs more layers. */
const GLOBAL_INTERVAL = 3;

/** Gemma 4: tied, a second embedding table with a slice for each layer, and layers that share keys and values. */
export function perLayerEmbeddings(shape: ModelShape): Architecture {
  const { layers, hidden, vocabulary, perLayerEmbedding, sharedKvLayers, keyIsValue } = shape;
  const ownKvLayers = layers - sharedKvLayers;
  // llama.cpp lets a shared layer read the last own layer (global) or the one before it (windowed).
  const isGlobal = (layer: number): boolean =>
    Math.abs(ownKvLayers - 1 - layer) % GLOBAL_INTERVAL === 0;
  const table = perLayerEmbedding * layers;

  return {
    name: "gemma4",
    tied: true,
    metadata: {
      embedding_length_per_layer_input: u32(perLayerEmbedding),
      "attention.shared_kv_layers": u32(sharedKvLayers),
      "attention.sliding_window": u32(512),
      "attention.sliding_window_pattern": bools(
        Array.from({ length: layers }, (_, layer) => !isGlobal(layer)),
      ),
      "attention.key_length_swa": u32(HEAD_LENGTH),
      "attention.value_length_swa": u32(HEAD_LENGTH),
      "rope.dimension_count": u32(HEAD_LENGTH),
      "rope.dimension_count_swa": u32(HEAD_LENGTH),
      "rope.freq_base_swa": f32(1e4),
      final_logit_softcapping: f32(30),
    },
    inputs: [
      weight("per_layer_token_embd.weight", shape.embeddingDtype, table, vocabulary),
      // BF16 as in real files; F16 would be copied out of the mapping on CPUs with AMX.
      weight("per_layer_model_proj.weight", "BF16", hidden, table),
      vector("per_layer_proj_norm.weight", perLayerEmbedding),
      vector("rope_freqs.weight", HEAD_LENGTH / 2),
    ],
    blocks: Array.from({ length: layers }, (_, layer): TensorSpec[] => {
      const name = (role: string): string => `blk.${layer}.${role}.weight`;
      const keys = layer < ownKvLayers;
      return [
        ...attention(layer, shape, {
          headNorms: true,
          keys,
          values: !(keyIsValue && isGlobal(layer)),
        }),
        vector(name("post_attention_norm"), hidden),
        vector(name("ffn_norm"), hidden),
        ...denseFeedForward(layer, shape),
        vector(name("post_ffw_norm"), hidden),
        weight(name("inp_gate"), shape.weightDtype, hidden, perLayerEmbedding),
        weight(name("proj"), shape.weightDtype, perLayerEmbedding, hidden),
        vector(name("post_norm"), hidden),
        vector(name("layer_output_scale"), 1),
      ];
    }).flat(),
  };
}
