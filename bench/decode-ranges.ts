import type { Model, Tensor } from "../src/model/model.ts";
import type { Range } from "../src/plan/range.ts";

/**
 * What one token reads of a tensor: a row of the embedding, a seeded choice of experts, and every
 * byte of everything else.
 */
export function rangesOfToken(model: Model, tensor: Tensor, random: () => number): Range[] {
  const { name, offset, byteLength, shape } = tensor;
  if (name.startsWith("token_embd")) return [{ offset, byteLength: byteLength / (shape[1] ?? 1) }];
  if (!/\.ffn_(gate|up|down)_exps\./.test(name)) return [{ offset, byteLength }];
  const experts = shape.at(-1) ?? 1;
  const architecture = String(model.metadata["general.architecture"]);
  const used = Number(model.metadata[`${architecture}.expert_used_count`] ?? 1);
  const slice = Math.floor(byteLength / experts);
  // A decoder reads the same experts of all three matrices; for the number of bytes it is the same.
  return Array.from({ length: used }, () => ({
    offset: offset + Math.floor(random() * experts) * slice,
    byteLength: slice,
  }));
}

/** A small seeded generator: a linear congruence (Numerical Recipes, section 7.1). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
