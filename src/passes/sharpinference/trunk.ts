import { isMoeLayer, sharesKv } from "../gguf/hyper-parameters.ts";
import {
  ATTENTION,
  ATTENTION_KEY,
  ATTENTION_NORM,
  ATTENTION_VALUE,
  DENSE_FFN,
  EMBEDDING,
  FFN_NORM,
  OUTPUT,
  OUTPUT_NORM,
  ROUTED_EXPERTS,
  ROUTER,
  SHARED_EXPERTS,
} from "../gguf/tensor-names.ts";
import type { IndexedModel } from "../pass.ts";
import { type Listing, WHERE } from "./listing.ts";

/** Rows that several passes have in common, in the reference's order. */

/** A tied model has no `output.weight`: the embedding serves, and is listed once. */
export function listEmbedding(listing: Listing, { hyper }: IndexedModel): void {
  listing.strict(EMBEDDING, WHERE.kept);
  listing.strict(OUTPUT_NORM, WHERE.kept);
  if (!hyper.isTied) listing.strict(OUTPUT, WHERE.kept);
}

/**
 * As the CPU passes do it: defect D6, the reference appends the tied embedding a second time. The
 * listing drops the repetition unless the reference's list is wanted.
 */
export function listEmbeddingOfCpuPass(listing: Listing, { hyper }: IndexedModel): void {
  listing.strict(EMBEDDING, WHERE.kept);
  listing.strict(OUTPUT_NORM, WHERE.kept);
  listing.strict(hyper.isTied ? EMBEDDING : OUTPUT, WHERE.kept);
}

/** Layers without a slot for this role: borrowed keys and values, or keys that serve as values. */
export function hasSlot({ hyper }: IndexedModel, layer: number, role: string): boolean {
  if (role !== ATTENTION_KEY && role !== ATTENTION_VALUE) return true;
  if (sharesKv(hyper, layer)) return false;
  return role === ATTENTION_KEY || hyper.keyIsValue[layer] !== true;
}

/** Norms and attention of CPU layers, role by role. */
export function listAttention(
  listing: Listing,
  model: IndexedModel,
  layers: readonly number[],
  postNorms: readonly string[],
): void {
  for (const role of [ATTENTION_NORM, ...ATTENTION, FFN_NORM, ...postNorms]) {
    const slots = layers.filter((layer) => hasSlot(model, layer, role));
    listing.roleMajor(slots, [role], WHERE.cpuLayers);
  }
}

/** The feed-forward part of CPU layers, role by role: experts where there are any, else dense. */
export function listFeedForward(
  listing: Listing,
  model: IndexedModel,
  layers: readonly number[],
): void {
  const { hyper } = model;
  const moe = layers.filter((layer) => isMoeLayer(hyper, layer));
  const dense = layers.filter((layer) => !isMoeLayer(hyper, layer));
  const shared = hyper.hasSharedExpert ? SHARED_EXPERTS : [];
  listing.roleMajor(moe, [ROUTER, ...ROUTED_EXPERTS, ...shared], WHERE.cpuLayers);
  listing.roleMajor(dense, DENSE_FFN, WHERE.cpuLayers);
}
