import { type HyperParameters, isMoeLayer } from "../gguf/hyper-parameters.ts";
import {
  isHeadTensor,
  PER_LAYER_EMBEDDING,
  PER_LAYER_NORM,
  POST_ATTENTION_NORM,
  POST_FFN_NORM,
  ROUTED_EXPERTS,
  ROUTER,
} from "../gguf/tensor-names.ts";
import type { ReferencePass } from "../pass.ts";
import { clampGpuLayers } from "../placement.ts";
import { decideByCacheBudget } from "./cpu-moe.ts";
import { isEmbeddingOnCpu } from "./embedding.ts";
import { Listing, layersBetween, WHERE } from "./listing.ts";
import { rejectLlamaOptions } from "./placement.ts";
import { listAttention, listEmbedding, listFeedForward } from "./trunk.ts";

/**
 * CUDA with some layers on the CPU. The first `gpuLayers` layers are on the GPU.
 *
 * Unlike the reference: PLE tensors of GPU layers are uploaded, so they are not listed (defect D11).
 */
export const cudaHybrid: ReferencePass = (model, placement) => {
  rejectLlamaOptions("cuda-hybrid", placement);
  const { hyper } = model;
  const listing = new Listing("cuda-hybrid", model, placement);
  const gpuLayers = clampGpuLayers(placement, hyper.layers);
  const cpu = layersBetween(gpuLayers, hyper.layers);
  const gpuMoe = layersBetween(0, gpuLayers).filter((layer) => isMoeLayer(hyper, layer));
  const embeddingOnCpu = isEmbeddingOnCpu("cuda-hybrid", model, placement);

  if (embeddingOnCpu) listEmbedding(listing, model);
  listAttention(listing, model, cpu, gemmaPostNorms(hyper));
  listFeedForward(listing, model, cpu);

  if (gpuMoe.length > 0) {
    const decision = decideByCacheBudget(model, placement, gpuLayers);
    if (decision.note !== undefined) listing.notes.push(decision.note);
    if (decision.cpuMoe) {
      listing.roleMajor(gpuMoe, [ROUTER, ...ROUTED_EXPERTS], WHERE.cpuMoe);
    } else {
      // The mapping is the backing store of the GPU's cache.
      listing.tolerantLayerMajor(gpuMoe, ROUTED_EXPERTS, WHERE.cacheMiss);
    }
  }

  if (hyper.hasPerLayerEmbedding) {
    listing.table();
    listing.strict(PER_LAYER_NORM, WHERE.kept);
    // D11: the reference lists those of every layer.
    const layers = listing.isReference ? layersBetween(0, hyper.layers) : cpu;
    listing.roleMajor(layers, PER_LAYER_EMBEDDING, WHERE.cpuLayers);
  }
  noteBorrowedKeys(listing, hyper, gpuLayers);

  return listing.plan("CudaHybridForwardPass", "fits-in-ram", ({ block, role }) =>
    block === undefined ? !embeddingOnCpu && isHeadTensor(role) : block < gpuLayers,
  );
};

function gemmaPostNorms(hyper: HyperParameters): string[] {
  if (!hyper.isGemma4Like) return [];
  return [
    ...(hyper.hasPostAttentionNorm ? [POST_ATTENTION_NORM] : []),
    ...(hyper.hasPostFfnNorm ? [POST_FFN_NORM] : []),
  ];
}

function noteBorrowedKeys(listing: Listing, hyper: HyperParameters, gpuLayers: number): void {
  const sources = hyper.kvSource.filter((source) => source >= 0);
  const first = sources.reduce((least, source) => Math.min(least, source), hyper.layers);
  if (gpuLayers <= first || gpuLayers >= hyper.layers) return;
  listing.notes.push(
    `the engine refuses ${gpuLayers} GPU layers: later layers read the keys and values of layer ${first}`,
  );
}
