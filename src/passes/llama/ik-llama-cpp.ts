import type { LlamaPass } from "../pass.ts";
import { clampGpuLayers } from "../placement.ts";
import { planSplit } from "./llama-cpp.ts";

/**
 * ik_llama.cpp: `-ngl` counts blocks from the tail as llama.cpp does, but the output head goes last,
 * once `-ngl` exceeds the number of blocks: `-ngl L` has every block on the GPU.
 */
export const ikLlamaCpp: LlamaPass = (model, placement) => {
  const { allBlocks } = model.hyper;
  const gpuLayers = clampGpuLayers(placement, allBlocks + 1);
  return planSplit("ik_llama.cpp", model, placement, {
    firstGpuBlock: Math.max(allBlocks - gpuLayers, 0),
    isOutputOnGpu: gpuLayers > allBlocks,
  });
};
