import type { Model } from "../model/model.ts";

/**
 * Experts that a token uses in each layer, from `{architecture}.expert_used_count`.
 *
 * @returns `null` where the model does not say, as safetensors do not
 */
export function expertsUsed({ metadata }: Pick<Model, "metadata">): number | null {
  const used = count(metadata, "expert_used_count");
  return used === undefined || used < 1 ? null : used;
}

/**
 * Blocks that every token passes through. Those from this number on predict further tokens (MTP).
 *
 * @returns `Infinity` where the model does not say
 */
export function computingBlocks({ metadata }: Pick<Model, "metadata">): number {
  const blocks = count(metadata, "block_count");
  if (blocks === undefined) return Number.POSITIVE_INFINITY;
  return Math.max(blocks - (count(metadata, "nextn_predict_layers") ?? 0), 0);
}

/** A whole number, or `undefined` for what is absent or cannot be. */
function count(metadata: Model["metadata"], key: string): number | undefined {
  const value = metadata[`${metadata["general.architecture"]}.${key}`];
  const number = typeof value === "bigint" ? Number(value) : value;
  return typeof number === "number" && Number.isSafeInteger(number) && number >= 0
    ? number
    : undefined;
}
