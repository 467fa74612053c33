import { isMoeLayer } from "../gguf/hyper-parameters.ts";
import { DENSE_FFN, isHeadTensor, ROUTED_EXPERTS, ROUTER } from "../gguf/tensor-names.ts";
import type { ReferencePass } from "../pass.ts";
import { decideByVram } from "./cpu-moe.ts";
import { isEmbeddingOnCpu } from "./embedding.ts";
import { Listing, layersBetween, WHERE } from "./listing.ts";
import { gpuFfnLayers, rejectLlamaOptions } from "./placement.ts";
import { listEmbedding } from "./trunk.ts";

/**
 * Gated delta nets on Vulkan, layer by layer. As on CUDA there is no split by layer, and `gpuLayers`
 * is ignored.
 *
 * Unlike the reference: the router is listed when experts run on the CPU, and the experts when the GPU caches
 * some of them (D7).
 */
export const vulkanHybridGdn: ReferencePass = (model, placement) => {
  rejectLlamaOptions("vulkan-hybrid-gdn", placement);
  const { hyper } = model;
  const listing = new Listing("vulkan-hybrid-gdn", model, placement);
  const onGpu = gpuFfnLayers(placement, hyper.layers);
  const { cpuMoe, note } = decideByVram(model, placement);
  if (note !== undefined) listing.notes.push(note);

  const embeddingOnCpu = isEmbeddingOnCpu("vulkan-hybrid-gdn", model, placement);
  if (embeddingOnCpu) {
    listing.notes.push("the engine may refuse this model: its embedding is too large for the GPU");
    if (!listing.isReference) listEmbedding(listing, model);
  }
  for (const layer of layersBetween(0, hyper.layers)) {
    if (!isMoeLayer(hyper, layer)) {
      if (!onGpu.has(layer)) listing.layerMajor([layer], DENSE_FFN, WHERE.kept);
    } else if (cpuMoe) {
      // D7: the reference leaves out the router, which its CPU side reads as well.
      const router = listing.isReference ? [] : [ROUTER];
      listing.layerMajor([layer], [...router, ...ROUTED_EXPERTS], WHERE.cpuMoe);
    } else if (!listing.isReference) {
      // D7: a miss of the cache is computed from the mapping.
      listing.tolerantLayerMajor([layer], ROUTED_EXPERTS, WHERE.cacheMiss);
    }
  }

  return listing.plan("VulkanHybridGdnForwardPass", "fits-in-ram", ({ block, role }) =>
    block === undefined ? !embeddingOnCpu && isHeadTensor(role) : block < hyper.layers,
  );
};
