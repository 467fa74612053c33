import { isAttentionLayer, isMoeLayer } from "../gguf/hyper-parameters.ts";
import {
  DENSE_FFN,
  GATED_DELTA_NET,
  isHeadTensor,
  ROUTED_EXPERTS,
  ROUTER,
} from "../gguf/tensor-names.ts";
import type { ReferencePass } from "../pass.ts";
import { decideByVram } from "./cpu-moe.ts";
import { isEmbeddingOnCpu } from "./embedding.ts";
import { Listing, layersBetween, WHERE } from "./listing.ts";
import { gpuFfnLayers, rejectLlamaOptions } from "./placement.ts";
import { listEmbedding } from "./trunk.ts";

/**
 * Gated delta nets on CUDA. There is no split by layer, `gpuLayers` is ignored: only experts, or the
 * FFN of a dense model, can be on the CPU.
 *
 * Unlike the reference: FFN layers that are on the GPU are not listed (D5); with a cache of experts on the GPU the
 * experts are listed (D7), as in the hybrid passes.
 */
export const cudaHybridGdn: ReferencePass = (model, placement) => {
  rejectLlamaOptions("cuda-hybrid-gdn", placement);
  const { hyper } = model;
  const listing = new Listing("cuda-hybrid-gdn", model, placement);
  const all = layersBetween(0, hyper.layers);
  const moe = all.filter((layer) => isMoeLayer(hyper, layer));
  const dense = all.filter((layer) => !isMoeLayer(hyper, layer));
  const { cpuMoe, note } = decideByVram(model, placement);
  if (note !== undefined) listing.notes.push(note);

  const embeddingOnCpu = isEmbeddingOnCpu("cuda-hybrid-gdn", model, placement);
  if (embeddingOnCpu) {
    listing.notes.push("the engine may refuse this model: its embedding is too large for the GPU");
    if (!listing.isReference) listEmbedding(listing, model);
  }
  const expertRoles = [ROUTER, ...ROUTED_EXPERTS];
  if (cpuMoe) listing.roleMajor(moe, expertRoles, WHERE.cpuMoe);
  // D7: in this mode the reference lists nothing, although a miss is loaded from the mapping.
  else if (!listing.isReference) listing.tolerantLayerMajor(moe, ROUTED_EXPERTS, WHERE.cacheMiss);

  // D5: the reference lists them all, and counts those on the GPU towards the RAM.
  const onGpu = gpuFfnLayers(placement, hyper.layers);
  const ffn = listing.isReference ? dense : dense.filter((layer) => !onGpu.has(layer));
  listing.roleMajor(ffn, DENSE_FFN, WHERE.kept);

  if (placement.cpuGdn === true) {
    const nets = all.filter((layer) => !isAttentionLayer(hyper, layer));
    listing.roleMajor(nets, GATED_DELTA_NET, WHERE.kept);
  }
  // The engine loads such a head only with experts on the CPU.
  if (hyper.hasMtp && hyper.mtpIsMoe && cpuMoe) {
    listing.roleMajor([hyper.layers], expertRoles, WHERE.mtp);
  }

  return listing.plan("CudaHybridGdnForwardPass", "fits-in-ram", ({ block, role }) => {
    if (block === undefined) return !embeddingOnCpu && isHeadTensor(role);
    return block < hyper.layers || (block === hyper.layers && hyper.hasMtp);
  });
};
