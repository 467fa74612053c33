import type { Model } from "../../model/model.ts";
import { invalid, Metadata } from "./metadata.ts";
import type { TensorIndex } from "./tensor-index.ts";
import {
  ATTENTION_KEY,
  ATTENTION_VALUE,
  blockTensor,
  OUTPUT,
  PER_LAYER_TABLE,
  POST_ATTENTION_NORM,
  POST_FFN_NORM,
  parseTensorName,
} from "./tensor-names.ts";

/** Facts of a model that a pass needs besides its tensors. */
export interface HyperParameters {
  readonly architecture: string;
  /** Blocks that compute, `L` in the tables: trailing MTP (nextn) blocks are not counted. */
  readonly layers: number;
  /** All blocks, the MTP ones included: llama.cpp's `n_layer_all`. */
  readonly allBlocks: number;
  /** Routed experts a layer. 0 for a dense model. */
  readonly experts: number;
  /** Blocks at the front that are dense in a model with experts. */
  readonly leadingDense: number;
  readonly hasSharedExpert: boolean;
  readonly isGemma4Like: boolean;
  readonly hasPostAttentionNorm: boolean;
  readonly hasPostFfnNorm: boolean;
  readonly hasPerLayerEmbedding: boolean;
  /** There is no `output.weight`: the token embedding is the output head as well. */
  readonly isTied: boolean;
  /** Some layers have a gated delta net (linear attention) in place of attention. */
  readonly isHybridSsm: boolean;
  /** In such a model every n-th layer is attention. */
  readonly fullAttentionInterval: number;
  /** An MTP head that can be used: it lives at block `layers`. */
  readonly hasMtp: boolean;
  readonly mtpIsMoe: boolean;
  /** For each layer: its attention sees a sliding window only. */
  readonly slides: readonly boolean[];
  /** For each layer the one whose keys and values it reads, or -1 when it has its own. */
  readonly kvSource: readonly number[];
  /** For each layer: keys serve as values, and there is no `attn_v`. */
  readonly keyIsValue: readonly boolean[];
}

/** Far more than any model has. Keeps `layers * experts` exact. */
const MOST_EXPERTS = 2 ** 20;
const DEFAULT_FULL_ATTENTION_INTERVAL = 4;

/**
 * Derives the hyper-parameters from GGUF metadata and from which tensors there are.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_MODEL` for missing or impossible metadata:
 * a block has at least one tensor, so no count of blocks exceeds the count of tensors.
 */
export function readHyperParameters(model: Model, index: TensorIndex): HyperParameters {
  const metadata = new Metadata(model.metadata);
  const allBlocks = metadata.count("block_count", undefined, 0, index.tensors.length);
  const nextn = metadata.count("nextn_predict_layers", 0, 0, allBlocks);
  const layers = allBlocks - nextn;
  const experts = metadata.count("expert_count", 0, 0, MOST_EXPERTS);
  const leadingDense = metadata.count("leading_dense_block_count", 0, 0, allBlocks);
  const slides = slidingLayers(layers, metadata);
  const has = (block: number, role: string) => index.has(blockTensor(block, role));
  return {
    architecture: metadata.architecture,
    layers,
    allBlocks,
    experts,
    leadingDense,
    hasSharedExpert: experts > 0 && has(leadingDense, "ffn_gate_shexp"),
    isGemma4Like: metadata.architecture === "gemma4",
    hasPostAttentionNorm: has(0, POST_ATTENTION_NORM),
    hasPostFfnNorm: has(0, POST_FFN_NORM),
    hasPerLayerEmbedding: index.has(PER_LAYER_TABLE),
    isTied: !index.has(OUTPUT),
    isHybridSsm: isHybridSsm(metadata, index),
    fullAttentionInterval: metadata.count(
      "full_attention_interval",
      DEFAULT_FULL_ATTENTION_INTERVAL,
      1,
      Number.MAX_SAFE_INTEGER,
    ),
    hasMtp: nextn > 0 && has(layers, "nextn.eh_proj"),
    mtpIsMoe: nextn > 0 && has(layers, "ffn_gate_exps"),
    slides,
    kvSource: kvSources(slides, metadata),
    keyIsValue: Array.from(
      { length: layers },
      (_, layer) => has(layer, ATTENTION_KEY) && !has(layer, ATTENTION_VALUE),
    ),
  };
}

/** Every n-th layer of a hybrid model is attention, the others are gated delta nets. */
export function isAttentionLayer(hyper: HyperParameters, layer: number): boolean {
  return (layer + 1) % hyper.fullAttentionInterval === 0;
}

export function isMoeLayer(hyper: HyperParameters, layer: number): boolean {
  return hyper.experts > 0 && layer >= hyper.leadingDense;
}

export function sharesKv(hyper: HyperParameters, layer: number): boolean {
  return (hyper.kvSource[layer] ?? -1) >= 0;
}

function isHybridSsm(metadata: Metadata, index: TensorIndex): boolean {
  if (metadata.flag("_sharpi.is_hybrid_ssm") || metadata.architecture === "qwen35moe") return true;
  return index.tensors.some(({ name }) => parseTensorName(name).role === "ssm_alpha.weight");
}

/**
 * The last `attention.shared_kv_layers` layers own no keys and values: each reads those of the
 * nearest earlier layer that owns some and is of its kind (sliding window or global).
 */
function kvSources(slides: readonly boolean[], metadata: Metadata): number[] {
  const own = slides.length - metadata.count("attention.shared_kv_layers", 0, 0, slides.length);
  const nearest = { sliding: -1, global: -1 };
  return slides.map((isSliding, layer) => {
    const kind = isSliding ? "sliding" : "global";
    if (layer >= own) return nearest[kind];
    nearest[kind] = layer;
    return -1;
  });
}

/** `attention.sliding_window_pattern`: one boolean a layer, or n for "every n-th layer is global". */
function slidingLayers(layers: number, metadata: Metadata): boolean[] {
  const key = "attention.sliding_window_pattern";
  const value = metadata.value(key);
  const eachLayer = (slides: (layer: number) => boolean) =>
    Array.from({ length: layers }, (_, layer) => slides(layer));
  if (value === undefined) return eachLayer(() => false);
  if (Array.isArray(value)) {
    if (value.some((entry) => typeof entry === "string" || typeof entry === "object")) {
      throw invalid(`${metadata.architecture}.${key}`, "an entry is neither boolean nor number");
    }
    return eachLayer((layer) => Boolean(value[layer]));
  }
  const period = metadata.count(key, undefined, 0, Number.MAX_SAFE_INTEGER);
  return eachLayer((layer) => period > 0 && (layer + 1) % period !== 0);
}
