import type { LlamaPass } from "../pass.ts";
import { clampGpuLayers } from "../placement.ts";
import { planSplit } from "./llama-cpp.ts";

/**
 * ik_llama.cpp: `-ngl` counts blocks from the last one as in llama.cpp, but the output head is offloaded
 * after all blocks: with `-ngl L` every block is on the GPU and the head is not.
 */
export const ikLlamaCpp: LlamaPass = (model, placement) => {
  const { allBlocks } = model.hyper;
  const gpuLayers = clampGpuLayers(placement, allBlocks + 1);
  return planSplit("ik_llama.cpp", model, placement, {
    firstGpuBlock: Math.max(allBlocks - gpuLayers, 0),
    isOutputOnGpu: gpuLayers > allBlocks,
  });
};
