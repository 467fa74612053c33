import type { MetadataValue, Model, Tensor } from "../../../src/model/model.ts";
import {
  type IndexedModel,
  indexModel,
  type PassName,
  type PassPlan,
  type Placement,
  passOf,
} from "../../../src/passes/index.ts";

/** What a model in memory should have. Everything defaults to a small dense model, tied or not. */
export interface Shape {
  arch?: string;
  layers: number;
  /** MTP blocks after the layers. */
  nextn?: number;
  tied?: boolean;
  experts?: number;
  leadingDense?: number;
  shared?: boolean;
  /** Gated delta nets, every `interval`-th layer attention. */
  gdn?: boolean;
  interval?: number;
  ple?: boolean;
  postNorms?: boolean;
  sharedKv?: number;
  /** Layers without `attn_v`. */
  keyIsValue?: readonly number[];
  metadata?: Record<string, MetadataValue>;
  /** Overwrites of single tensors. */
  tensors?: Record<string, Partial<Tensor>>;
}

const ATTENTION = ["attn_q", "attn_k", "attn_v", "attn_output"];
const GDN = ["attn_qkv", "attn_gate", "ssm_out", "ssm_alpha", "ssm_beta"];
const FFN = ["ffn_gate", "ffn_up", "ffn_down"];
const suffix = (kind: string) => FFN.map((role) => `${role}_${kind}`);
const weights = (roles: readonly string[]) => roles.map((role) => `${role}.weight`);

/** A model of tensors of 4096 bytes each, one after the other in one file that does not exist. */
export function modelOf(shape: Shape): Model {
  const arch = shape.arch ?? "qwen3";
  return buildModel(
    namesOf(shape),
    {
      "general.architecture": arch,
      [`${arch}.block_count`]: shape.layers + (shape.nextn ?? 0),
      ...(shape.nextn ? { [`${arch}.nextn_predict_layers`]: shape.nextn } : {}),
      ...(shape.experts ? { [`${arch}.expert_count`]: shape.experts } : {}),
      ...(shape.leadingDense ? { [`${arch}.leading_dense_block_count`]: shape.leadingDense } : {}),
      ...(shape.interval ? { [`${arch}.full_attention_interval`]: shape.interval } : {}),
      ...(shape.sharedKv ? { [`${arch}.attention.shared_kv_layers`]: shape.sharedKv } : {}),
      ...shape.metadata,
    },
    shape.tensors,
  );
}

export function buildModel(
  names: readonly string[],
  metadata: Record<string, MetadataValue>,
  overwrites: Record<string, Partial<Tensor>> = {},
): Model {
  let offset = 4096;
  const tensors = names.map((name): Tensor => {
    const plain = { name, file: 0, offset, byteLength: 4096, dtype: "Q8_0", shape: [64, 64] };
    const tensor = { ...plain, ...overwrites[name] };
    offset = Math.max(offset, tensor.offset + tensor.byteLength);
    return tensor;
  });
  return {
    format: "gguf",
    files: [{ path: "/nowhere/model.gguf", byteLength: offset }],
    tensors,
    metadata,
  };
}

function namesOf(shape: Shape): string[] {
  const blocks = Array.from({ length: shape.layers + (shape.nextn ?? 0) }, (_, block) => block);
  return [
    ...weights(["token_embd", "output_norm", ...(shape.tied ? [] : ["output"])]),
    ...(shape.ple
      ? weights(["per_layer_token_embd", "per_layer_proj_norm", "per_layer_model_proj"])
      : []),
    ...blocks.flatMap((block) => rolesOf(shape, block).map((role) => `blk.${block}.${role}`)),
    "rope_freqs.weight",
  ];
}

function rolesOf(shape: Shape, block: number): string[] {
  const isMtp = block >= shape.layers;
  const isAttention = !shape.gdn || isMtp || (block + 1) % (shape.interval ?? 4) === 0;
  const isMoe = (shape.experts ?? 0) > 0 && block >= (shape.leadingDense ?? 0);
  const attention = ATTENTION.filter(
    (role) => role !== "attn_v" || shape.keyIsValue?.includes(block) !== true,
  );
  return [
    ...weights(["attn_norm", ...(isAttention ? attention : GDN)]),
    ...(isAttention ? ["attn_q.bias", "attn_q_norm.weight"] : ["ssm_a", "ssm_conv1d.weight"]),
    ...weights(shape.gdn ? ["post_attention_norm"] : ["ffn_norm"]),
    ...weights(shape.postNorms ? ["post_attention_norm", "post_ffw_norm"] : []),
    ...weights(isMoe ? ["ffn_gate_inp", ...suffix("exps")] : FFN),
    ...weights(isMoe && shape.shared ? ["ffn_gate_inp_shexp", ...suffix("shexp")] : []),
    ...weights(shape.ple ? ["inp_gate", "proj", "post_norm"] : []),
    ...weights(isMtp ? ["nextn.eh_proj", "nextn.enorm"] : []),
  ];
}

export function indexed(shape: Shape): IndexedModel {
  return indexModel(modelOf(shape));
}

export function plan(pass: PassName, shape: Shape, placement: Placement = {}): PassPlan {
  return passOf(pass)(indexed(shape), placement);
}

/** The names that a plan lists, in order, all runs after another, without `blk.` and `.weight`. */
export function listed(plan: PassPlan): string[] {
  return plan.runs.flatMap(({ regions }) => regions.map(({ tensor }) => short(tensor.name)));
}

export function short(name: string): string {
  return name.replace(/^blk\./, "").replace(/\.weight$/, "");
}

/** `["0.attn_q", "1.attn_q", "0.attn_k", …]`: every role over all layers, then the next. */
export function roleMajor(layers: readonly number[], ...roles: string[]): string[] {
  return roles.flatMap((role) => layers.map((layer) => `${layer}.${role}`));
}

/** `["0.attn_q", "0.attn_k", …, "1.attn_q", …]`: every layer with all roles, then the next. */
export function layerMajor(layers: readonly number[], ...roles: string[]): string[] {
  return layers.flatMap((layer) => roles.map((role) => `${layer}.${role}`));
}
