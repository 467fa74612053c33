import { headCount, kvHeadCount } from "./attention-blocks.ts";
import { attentionModel } from "./attention-model.ts";
import { gatedDeltaNetModel } from "./gated-delta-net.ts";
import { f32, type Metadata, string, u32 } from "./gguf-metadata.ts";
import {
  CONTEXT_LENGTH,
  HEAD_LENGTH,
  isMixture,
  type ModelKind,
  type ModelShape,
} from "./model-shape.ts";
import { perLayerEmbeddings } from "./per-layer-embeddings.ts";
import { type TensorSpec, vector, weight } from "./tensor-spec.ts";
import { byteTokenizer } from "./tokenizer.ts";

/** What one family adds to the tensors and keys that every model has. */
export interface Architecture {
  /** `general.architecture`, and the prefix of every hyper-parameter's key. */
  readonly name: string;
  /** Without the architecture's prefix. */
  readonly metadata: Metadata;
  /** Between the embedding and the first block. */
  readonly inputs?: readonly TensorSpec[];
  readonly blocks: readonly TensorSpec[];
  /** No `output.weight`: the embedding is the head as well. */
  readonly tied?: boolean;
}

export function architectureOf(kind: ModelKind, shape: ModelShape): Architecture {
  switch (kind) {
    case "dense":
    case "dense-tied":
    case "moe":
    case "moe-shared":
      return attentionModel(kind, shape);
    case "gdn":
    case "gdn-moe":
      return gatedDeltaNetModel(kind, shape);
    case "per-layer-embeddings":
      return perLayerEmbeddings(shape);
  }
}

/** In the order in which llama.cpp's converters write them. */
export function tensorsOf(kind: ModelKind, shape: ModelShape): TensorSpec[] {
  const { inputs = [], blocks, tied = false } = architectureOf(kind, shape);
  const { hidden, vocabulary, embeddingDtype } = shape;
  return [
    weight("token_embd.weight", embeddingDtype, hidden, vocabulary),
    ...inputs,
    ...blocks,
    vector("output_norm.weight", hidden),
    ...(tied ? [] : [weight("output.weight", embeddingDtype, hidden, vocabulary)]),
  ];
}

export function metadataOf(kind: ModelKind, shape: ModelShape): Metadata {
  const { name, metadata } = architectureOf(kind, shape);
  const hyperParameters: Metadata = {
    context_length: u32(CONTEXT_LENGTH),
    embedding_length: u32(shape.hidden),
    block_count: u32(shape.layers),
    feed_forward_length: u32(shape.feedForward),
    "attention.head_count": u32(headCount(shape)),
    "attention.head_count_kv": u32(kvHeadCount(shape)),
    "attention.key_length": u32(HEAD_LENGTH),
    "attention.value_length": u32(HEAD_LENGTH),
    "attention.layer_norm_rms_epsilon": f32(1e-6),
    "rope.freq_base": f32(1e6),
    ...(isMixture(kind) ? expertMetadata(shape) : {}),
    ...metadata,
  };
  return {
    "general.architecture": string(name),
    "general.name": string(`synthetic ${kind}`),
    "general.quantization_version": u32(2),
    ...Object.fromEntries(
      Object.entries(hyperParameters).map(([key, entry]) => [`${name}.${key}`, entry]),
    ),
    ...byteTokenizer(shape.vocabulary),
  };
}

function expertMetadata(shape: ModelShape): Metadata {
  return {
    expert_count: u32(shape.experts),
    expert_used_count: u32(shape.expertsUsed),
    expert_feed_forward_length: u32(shape.expertFeedForward),
  };
}
