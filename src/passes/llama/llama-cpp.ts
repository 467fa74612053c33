import type { Tensor } from "../../model/model.ts";
import type { HyperParameters } from "../gguf/hyper-parameters.ts";
import {
  EMBEDDING,
  PER_LAYER_TABLE,
  parseTensorName,
  partOf,
  type TensorName,
} from "../gguf/tensor-names.ts";
import { isLazyTable, LAZY_REASON } from "../lazy-table.ts";
import type {
  IndexedModel,
  LlamaPass,
  PassName,
  PassPlan,
  PlannedTensor,
  UnplannedTensor,
} from "../pass.ts";
import { clampGpuLayers, invalidOption, wholeNumber } from "../placement.ts";
import { coreAndExperts } from "../runs.ts";
import {
  cpuMoeRule,
  nCpuFfnRule,
  nCpuMoeRule,
  type OverrideRule,
  overrideRule,
  resolveOverrides,
} from "./overrides.ts";
import type { LlamaPlacement } from "./placement.ts";
import { repackNotes } from "./repack.ts";

/** The division of blocks and output head between CPU and GPU. */
export interface SplitRule {
  /** The first block on the GPU. */
  readonly firstGpuBlock: number;
  readonly isOutputOnGpu: boolean;
}

/** The input layer, which llama.cpp always keeps on the CPU. */
const INPUT: ReadonlySet<string> = new Set([
  EMBEDDING,
  PER_LAYER_TABLE,
  "position_embd.weight",
  "token_types.weight",
]);

/**
 * Tensors of the whole model that llama.cpp creates as part of block 0 (`LLM_TENSOR_LAYER_REPEATING`
 * in its table). All others outside the blocks and the input layer belong to the output layer.
 */
const WITH_BLOCK_0 =
  /^(rope_freqs|rope_factors_|per_layer_model_proj|per_layer_proj_norm|token_embd_norm)/;

/** Buffer types that are the mapping itself: with mmap llama.cpp replaces a pinned host buffer by it. */
const MAPPED_BUFFER = /^CPU$|_Host$/;
/** Buffer types in CPU memory that hold a rearranged copy. */
const COPYING_BUFFER = /^(CPU_.+|AMX)$/;

/**
 * llama.cpp: `-ngl` counts from the output head and then from the last block, so `-ngl 1` offloads the head
 * alone and `-ngl L` leaves block 0 on the CPU. MTP blocks count.
 */
export const llamaCpp: LlamaPass = (model, placement) => {
  const most = model.hyper.allBlocks + 1;
  const gpuLayers = clampGpuLayers(placement, most);
  return planSplit("llama.cpp", model, placement, {
    firstGpuBlock: most - gpuLayers,
    isOutputOnGpu: gpuLayers > 0,
  });
};

/** Plans a model for either engine, once the blocks on the GPU are known. */
export function planSplit(
  pass: PassName,
  model: IndexedModel,
  placement: LlamaPlacement,
  split: SplitRule,
): PassPlan {
  const { index, hyper } = model;
  const { winners, notes } = resolveOverrides(rulesOf(placement), index);
  const isMainline = pass === "llama.cpp";
  const regions: PlannedTensor[] = [];
  const elsewhere: UnplannedTensor[] = [];
  for (const tensor of index.tensors) {
    const name = parseTensorName(tensor.name);
    const { block, role } = name;
    const override = winners.get(tensor.name);
    if (block !== undefined && block >= hyper.layers && placement.mtp !== true) {
      elsewhere.push({ tensor, place: "unused", reason: "MTP blocks, skipped at load" });
    } else if (isLazyTable(tensor, placement) && (isMainline || override === undefined)) {
      // llama.cpp reads such a table by rows also with -ot; ik_llama.cpp has no lazy tables.
      elsewhere.push({ tensor, place: "lazy", reason: LAZY_REASON });
    } else if (override !== undefined) {
      placeByBuffer(tensor, override);
    } else if (INPUT.has(role)) {
      regions.push({ tensor, reason: inputReason(role) });
    } else if (isOnGpu(name)) {
      elsewhere.push({ tensor, place: "gpu", reason: `${partOf(role)} on the GPU` });
    } else {
      const layer = block === undefined ? "kept on the CPU" : "of CPU layers";
      regions.push({ tensor, reason: `${partOf(role)} ${layer}` });
    }
  }
  return {
    pass,
    // The design's default outside the reference's passes: what can be had now.
    runs: coreAndExperts(pass, "fits-in-free-ram", regions),
    elsewhere,
    notes: [...notes, ...(isMainline && placement.repack !== false ? repackNotes(regions) : [])],
  };

  function placeByBuffer(tensor: Tensor, { buffer, source }: OverrideRule): void {
    const part = partOf(parseTensorName(tensor.name).role);
    const by = source.startsWith("--") ? source : `-ot ${source}=${buffer}`;
    if (MAPPED_BUFFER.test(buffer)) {
      regions.push({ tensor, reason: `${part} by ${by}` });
    } else if (COPYING_BUFFER.test(buffer)) {
      elsewhere.push({ tensor, place: "copied", reason: `${part} copied by ${by}` });
    } else {
      elsewhere.push({ tensor, place: "gpu", reason: `${part} on the GPU by ${by}` });
    }
  }

  function isOnGpu(name: TensorName): boolean {
    const block = blockOf(name, hyper);
    return block === undefined ? split.isOutputOnGpu : block >= split.firstGpuBlock;
  }

  // A tied head on the GPU is a copy: the mapped embedding is still read for the input.
  function inputReason(role: string): string {
    const isHead = role === EMBEDDING && hyper.isTied && !split.isOutputOnGpu;
    const part = isHead ? "token embedding, which is the output head too," : partOf(role);
    return `${part} kept on the CPU as an input`;
  }
}

/** The block that a tensor is placed with, `undefined` for the output layer. */
function blockOf({ block, role }: TensorName, hyper: HyperParameters): number | undefined {
  if (block !== undefined) return block;
  if (!WITH_BLOCK_0.test(role)) return undefined;
  // In LFM2 this is the name of the output norm.
  if (role === "token_embd_norm.weight" && /^lfm2/.test(hyper.architecture)) return undefined;
  // It belongs to the first block that uses it; in Gemma 4 blocks with a sliding window do not.
  if (role === "rope_freqs.weight" && hyper.isGemma4Like) return firstGlobalBlock(hyper);
  return 0;
}

function firstGlobalBlock({ slides }: HyperParameters): number {
  return Math.max(slides.indexOf(false), 0);
}

function rulesOf(placement: LlamaPlacement): OverrideRule[] {
  const moeBlocks = blockCount("nCpuMoe", placement.nCpuMoe);
  const ffnBlocks = blockCount("nCpuFfn", placement.nCpuFfn);
  return [
    ...(placement.overrides ?? []).map(overrideRule),
    ...(placement.cpuMoe === true ? [cpuMoeRule] : []),
    ...(moeBlocks > 0 ? [nCpuMoeRule(moeBlocks)] : []),
    ...(ffnBlocks > 0 ? [nCpuFfnRule(ffnBlocks)] : []),
    ...(placement.lateOverrides ?? []).map(overrideRule),
  ];
}

function blockCount(name: string, given = 0): number {
  const blocks = wholeNumber(name, given);
  if (blocks < 0) throw invalidOption(name, blocks, "it must be zero or more");
  return blocks;
}
