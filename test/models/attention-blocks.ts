import { HEAD_LENGTH, type ModelShape } from "./model-shape.ts";
import { type TensorSpec, vector, weight } from "./tensor-spec.ts";

export function headCount(shape: ModelShape): number {
  if (shape.hidden % HEAD_LENGTH !== 0) {
    throw new RangeError(`hidden is a multiple of ${HEAD_LENGTH}, got ${shape.hidden}`);
  }
  return shape.hidden / HEAD_LENGTH;
}

/** Grouped-query attention: two query heads share a key head. */
export function kvHeadCount(shape: ModelShape): number {
  return Math.max(1, headCount(shape) / 2);
}

/** What tells the families' attention blocks apart. */
export interface AttentionTraits {
  readonly biases?: boolean;
  readonly headNorms?: boolean;
  /** Qwen3.5 makes an output gate in the same matrix as the queries. */
  readonly gatedQuery?: boolean;
  readonly keys?: boolean;
  readonly values?: boolean;
}

export function attention(layer: number, shape: ModelShape, traits: AttentionTraits): TensorSpec[] {
  const {
    biases = false,
    headNorms = false,
    gatedQuery = false,
    keys = true,
    values = true,
  } = traits;
  const { hidden, weightDtype } = shape;
  const kv = kvHeadCount(shape) * HEAD_LENGTH;
  const name = (role: string): string => `blk.${layer}.attn_${role}`;
  const tensors = [
    vector(name("norm.weight"), hidden),
    weight(name("q.weight"), weightDtype, hidden, gatedQuery ? 2 * hidden : hidden),
  ];
  if (keys) tensors.push(weight(name("k.weight"), weightDtype, hidden, kv));
  if (keys && values) tensors.push(weight(name("v.weight"), weightDtype, hidden, kv));
  tensors.push(weight(name("output.weight"), weightDtype, hidden, hidden));
  if (biases) {
    tensors.push(vector(name("q.bias"), hidden, "weight"), vector(name("k.bias"), kv, "weight"));
    tensors.push(vector(name("v.bias"), kv, "weight"));
  }
  if (headNorms) {
    tensors.push(vector(name("q_norm.weight"), HEAD_LENGTH));
    if (keys) tensors.push(vector(name("k_norm.weight"), HEAD_LENGTH));
  }
  return tensors;
}

/** Sizes of the recurrent state, as both the tensors and the `ssm.*` keys need them. */
export function deltaNetShape(shape: ModelShape) {
  const valueHeads = headCount(shape);
  const keyHeads = kvHeadCount(shape);
  return {
    valueHeads,
    keyHeads,
    values: valueHeads * HEAD_LENGTH,
    keys: keyHeads * HEAD_LENGTH,
    kernel: 4,
  };
}

/** Gated DeltaNet, in the names that Qwen3-Next and Qwen3.5 files use. `ssm_a` has no suffix there. */
export function gatedDeltaNet(layer: number, shape: ModelShape): TensorSpec[] {
  const { hidden, weightDtype } = shape;
  const { valueHeads, values, keys, kernel } = deltaNetShape(shape);
  const name = (role: string): string => `blk.${layer}.${role}`;
  return [
    vector(name("attn_norm.weight"), hidden),
    weight(name("attn_qkv.weight"), weightDtype, hidden, 2 * keys + values),
    weight(name("attn_gate.weight"), weightDtype, hidden, values),
    weight(name("ssm_conv1d.weight"), "F32", kernel, 2 * keys + values),
    vector(name("ssm_dt.bias"), valueHeads, "weight"),
    vector(name("ssm_a"), valueHeads, "decay"),
    weight(name("ssm_beta.weight"), weightDtype, hidden, valueHeads),
    weight(name("ssm_alpha.weight"), weightDtype, hidden, valueHeads),
    vector(name("ssm_norm.weight"), HEAD_LENGTH),
    weight(name("ssm_out.weight"), weightDtype, values, hidden),
  ];
}
