import { isMoeLayer } from "../gguf/hyper-parameters.ts";
import {
  ATTENTION_KEY,
  ATTENTION_NORM,
  ATTENTION_VALUE,
  blockTensor,
  DENSE_FFN,
  FFN_NORM,
  PER_LAYER_EMBEDDING,
  PER_LAYER_NORM,
  POST_ATTENTION_NORM,
  POST_FFN_NORM,
  ROUTED_EXPERTS,
  ROUTER,
  SHARED_EXPERTS,
} from "../gguf/tensor-names.ts";
import type { ReferencePass } from "../pass.ts";
import { Listing, layersBetween, WHERE } from "./listing.ts";
import { rejectGpuLayers, rejectLlamaOptions } from "./placement.ts";
import { hasSlot, listEmbeddingOfCpuPass } from "./trunk.ts";

/**
 * Everything on the CPU, layer by layer.
 *
 * Unlike the reference: what every token reads runs under `always`, routed experts behind the memory that is free
 * (D2, D3); the per-layer embeddings are listed (D4); a tied embedding is listed once (D6); GPU
 * layers are refused, where the reference sweeps the whole model beside its GPU pass (D1).
 */
export const forward: ReferencePass = (model, placement) => {
  rejectLlamaOptions("forward", placement);
  rejectGpuLayers("forward", placement);
  const { hyper } = model;
  const listing = new Listing("forward", model, placement);
  const all = layersBetween(0, hyper.layers);
  const shared = hyper.hasSharedExpert ? SHARED_EXPERTS : [];

  listEmbeddingOfCpuPass(listing, model);
  for (const layer of all) {
    // The output projection precedes keys and values: the reference's order, kept.
    const roles = [
      ATTENTION_NORM,
      "attn_q",
      "attn_output",
      ...[ATTENTION_KEY, ATTENTION_VALUE].filter((role) => hasSlot(model, layer, role)),
      FFN_NORM,
      ...(hyper.hasPostAttentionNorm ? [POST_ATTENTION_NORM] : []),
      ...(hyper.hasPostFfnNorm ? [POST_FFN_NORM] : []),
      ...(isMoeLayer(hyper, layer) ? [ROUTER, ...ROUTED_EXPERTS, ...shared] : DENSE_FFN),
    ];
    listing.layerMajor([layer], roles, WHERE.cpuLayers);
  }
  // D4: the reference leaves them out, although its CPU pass reads them from the mapping.
  if (hyper.hasPerLayerEmbedding && !listing.isReference) {
    listing.table();
    listing.tolerant(PER_LAYER_NORM, WHERE.kept);
    for (const role of PER_LAYER_EMBEDDING) {
      for (const layer of all) listing.tolerant(blockTensor(layer, role), WHERE.cpuLayers);
    }
  }

  return listing.plan("ForwardPass", "always", () => false);
};
