import { isAttentionLayer, isMoeLayer } from "../gguf/hyper-parameters.ts";
import {
  ATTENTION,
  ATTENTION_NORM,
  DENSE_FFN,
  GATED_DELTA_NET,
  POST_ATTENTION_NORM,
  ROUTED_EXPERTS,
  ROUTER,
  SHARED_EXPERTS,
} from "../gguf/tensor-names.ts";
import type { ReferencePass } from "../pass.ts";
import { Listing, layersBetween, WHERE } from "./listing.ts";
import { rejectGpuLayers, rejectLlamaOptions } from "./placement.ts";
import { listEmbeddingOfCpuPass } from "./trunk.ts";

/**
 * Gated delta nets and attention, everything on the CPU, layer by layer; the MTP head last, without
 * its `nextn.*` tensors, which are copies.
 *
 * Unlike the reference, as {@link forward}: D1, D2, D3 and D6.
 */
export const hybridGdn: ReferencePass = (model, placement) => {
  rejectLlamaOptions("hybrid-gdn", placement);
  rejectGpuLayers("hybrid-gdn", placement);
  const { hyper } = model;
  const listing = new Listing("hybrid-gdn", model, placement);
  const norms = [ATTENTION_NORM, POST_ATTENTION_NORM];
  const shared = hyper.hasSharedExpert ? SHARED_EXPERTS : [];
  // Shared experts before routed ones, unlike every other pass.
  const experts = [ROUTER, ...shared, ...ROUTED_EXPERTS];

  listEmbeddingOfCpuPass(listing, model);
  for (const layer of layersBetween(0, hyper.layers)) {
    const roles = [
      ...norms,
      ...(isMoeLayer(hyper, layer) ? experts : DENSE_FFN),
      ...(isAttentionLayer(hyper, layer) ? ATTENTION : GATED_DELTA_NET),
    ];
    listing.layerMajor([layer], roles, WHERE.cpuLayers);
  }
  if (hyper.hasMtp) {
    const roles = [
      ATTENTION_NORM,
      ...ATTENTION,
      POST_ATTENTION_NORM,
      ...(hyper.mtpIsMoe ? experts : DENSE_FFN),
    ];
    listing.layerMajor([hyper.layers], roles, WHERE.mtp);
  }

  return listing.plan("HybridGdnForwardPass", "always", () => false);
};
