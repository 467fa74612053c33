import { isMoeLayer } from "../gguf/hyper-parameters.ts";
import { isHeadTensor, ROUTED_EXPERTS } from "../gguf/tensor-names.ts";
import type { ReferencePass } from "../pass.ts";
import { clampGpuLayers } from "../placement.ts";
import { isEmbeddingOnCpu } from "./embedding.ts";
import { Listing, layersBetween, WHERE } from "./listing.ts";
import { rejectLlamaOptions } from "./placement.ts";
import { listAttention, listEmbedding, listFeedForward } from "./trunk.ts";

/**
 * Vulkan with some layers on the CPU. The first `gpuLayers` layers are on the GPU. There is no
 * CPU-MoE here: `cpuMoe` is ignored, and a miss of the GPU's expert cache is computed on the CPU
 * straight from the mapping.
 */
export const hybrid: ReferencePass = (model, placement) => {
  rejectLlamaOptions("hybrid", placement);
  const { hyper } = model;
  const listing = new Listing("hybrid", model, placement);
  const gpuLayers = clampGpuLayers(placement, hyper.layers);
  const cpu = layersBetween(gpuLayers, hyper.layers);
  const gpuMoe = layersBetween(0, gpuLayers).filter((layer) => isMoeLayer(hyper, layer));
  const embeddingOnCpu = isEmbeddingOnCpu("hybrid", model, placement);

  if (embeddingOnCpu) listEmbedding(listing, model);
  listAttention(listing, model, cpu, []);
  listFeedForward(listing, model, cpu);
  listing.tolerantLayerMajor(gpuMoe, ROUTED_EXPERTS, WHERE.cacheMiss);
  if (hyper.isGemma4Like) listing.notes.push("the engine refuses Gemma 4 on Vulkan");

  return listing.plan("HybridForwardPass", "fits-in-ram", ({ block, role }) =>
    block === undefined ? !embeddingOnCpu && isHeadTensor(role) : block < gpuLayers,
  );
};
