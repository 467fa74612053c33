import {
  blockTensor,
  isRoutedExpert,
  parseTensorName,
  ROUTED_EXPERTS,
} from "../gguf/tensor-names.ts";
import type { IndexedModel } from "../pass.ts";
import { byteCount } from "../placement.ts";
import type { ReferencePlacement } from "./placement.ts";

/** Below this share of experts in the GPU's cache, computing them on the CPU is faster. */
const CPU_BELOW_RATIO = 0.5;
/** The GDN passes never plan with fewer cache slots. */
const LEAST_SLOTS = 64;
/** Bytes the GDN passes leave for the KV cache and scratch memory. */
const VRAM_MARGIN = 2 * 2 ** 30;

export interface CpuMoeDecision {
  readonly cpuMoe: boolean;
  /** Set when the decision is an assumption. */
  readonly note?: string;
}

const ASSUMED: CpuMoeDecision = {
  cpuMoe: true,
  note: "whether experts run on the CPU depends on the size of the VRAM, which was not given: assumed that they do",
};

/** cuda-hybrid: compares the bytes for the expert cache with the experts of the GPU layers. */
export function decideByCacheBudget(
  model: IndexedModel,
  placement: ReferencePlacement,
  gpuLayers: number,
): CpuMoeDecision {
  return decide(model, placement, gpuLayers, (perExpert) => {
    if (placement.expertCacheBytes === undefined) return undefined;
    const budget = byteCount("expertCacheBytes", placement.expertCacheBytes);
    return perExpert === 0 ? 0 : Math.floor(budget / perExpert);
  });
}

/** The GDN passes: compares the VRAM that is left beside all other weights with all experts. */
export function decideByVram(model: IndexedModel, placement: ReferencePlacement): CpuMoeDecision {
  return decide(model, placement, model.hyper.layers, (perExpert) => {
    if (placement.vramBytes === undefined) return undefined;
    const vram = byteCount("vramBytes", placement.vramBytes);
    const others = byteCount("nonMoeBytes", placement.nonMoeBytes ?? nonMoeBytes(model));
    const free = vram - others - VRAM_MARGIN;
    return Math.max(LEAST_SLOTS, perExpert === 0 ? 0 : Math.floor(free / perExpert));
  });
}

function decide(
  model: IndexedModel,
  placement: ReferencePlacement,
  layers: number,
  slots: (perExpertBytes: number) => number | undefined,
): CpuMoeDecision {
  const { experts } = model.hyper;
  if (experts === 0) return { cpuMoe: false };
  if (typeof placement.cpuMoe === "boolean") return { cpuMoe: placement.cpuMoe };
  const wanted = layers * experts;
  // No GPU layer has experts: nothing to cache, and nothing to compute elsewhere.
  if (wanted === 0) return { cpuMoe: false };
  const held = slots(bytesPerExpert(model));
  if (held === undefined) return ASSUMED;
  return { cpuMoe: held / wanted < CPU_BELOW_RATIO };
}

/** Bytes of one expert's three slices, in the first layer with routed experts. */
export function bytesPerExpert({ index, hyper }: IndexedModel): number {
  if (hyper.experts === 0) return 0;
  const bytes = ROUTED_EXPERTS.map(
    (role) => index.find(blockTensor(hyper.leadingDense, role))?.byteLength ?? 0,
  );
  return Math.floor(bytes.reduce((sum, length) => sum + length, 0) / hyper.experts);
}

function nonMoeBytes({ index }: IndexedModel): number {
  return index.tensors
    .filter(({ name }) => !isRoutedExpert(parseTensorName(name).role))
    .reduce((sum, { byteLength }) => sum + byteLength, 0);
}
