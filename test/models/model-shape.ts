import type { Dtype } from "./dtype.ts";
import { SMALLEST_VOCABULARY } from "./tokenizer.ts";

export type ModelKind =
  | "dense"
  | "dense-tied"
  | "moe"
  | "moe-shared"
  | "gdn"
  | "gdn-moe"
  | "per-layer-embeddings";

/** Everything that decides a model's tensor list. */
export interface ModelShape {
  /** Transformer blocks, an MTP head not counted. */
  layers: number;
  /** Width of the residual stream; a multiple of 64, and of 256 for K-quants. */
  hidden: number;
  /** Width of a dense or shared feed-forward. */
  feedForward: number;
  /** Routed experts a layer. */
  experts: number;
  expertsUsed: number;
  /** Width of one routed expert. */
  expertFeedForward: number;
  vocabulary: number;
  /** Width of one layer's part of the per-layer embedding table. */
  perLayerEmbedding: number;
  /** Trailing layers that reuse an earlier layer's keys and values, and have no `attn_k` or `attn_v`. */
  sharedKvLayers: number;
  /** Leaves out `attn_v` in the layers of full attention, where the keys serve as values. */
  keyIsValue: boolean;
  /** Adds a multi-token-prediction head as block `layers`. */
  mtp: boolean;
  /**
   * Attention and dense feed-forward.
   *
   * @defaultValue `"Q5_0"`. llama.cpp copies Q4_0, Q4_K and others out of the mapping into CPU_REPACK, and on
   * CPUs with AMX Q8_0 and Q6_K matrices too; Q5_0 and Q5_1 stay mapped on every x86.
   */
  weightDtype: Dtype;
  /** @defaultValue `"Q5_0"` for gate and up, `"Q5_1"` for down */
  expertDtype: Dtype | undefined;
  /** @defaultValue `"Q5_1"` */
  embeddingDtype: Dtype;
}

/** llama.cpp's kernels take any; 64 divides every `hidden` and is the smallest head that real models have. */
export const HEAD_LENGTH = 64;

export const CONTEXT_LENGTH = 4096;

/** The single number that grows a kind towards a wanted size, and the steps it may take. */
interface SizeKnob {
  readonly field: "feedForward" | "expertFeedForward" | "perLayerEmbedding";
  readonly step: number;
}

/** A step of 256 keeps rows whole for every element type, a finer one would do for Q5_0. */
const COARSE = 256;
const FINE = 32;

function sizeKnob(kind: ModelKind, shape: ModelShape): SizeKnob {
  const needsCoarse = [shape.weightDtype, shape.expertDtype].some((dtype) => dtype?.endsWith("_K"));
  const step = needsCoarse ? COARSE : FINE;
  if (kind === "per-layer-embeddings") return { field: "perLayerEmbedding", step };
  return { field: isMixture(kind) ? "expertFeedForward" : "feedForward", step };
}

export function isMixture(kind: ModelKind): boolean {
  return kind === "moe" || kind === "moe-shared" || kind === "gdn-moe";
}

/** About 1 MB without a target; with one, proportions that leave most of it to the tensors that grow. */
export function defaultShape(kind: ModelKind, targetBytes = 0): ModelShape {
  const tier =
    targetBytes > 2 ** 31 ? 3 : targetBytes > 2 ** 28 ? 2 : targetBytes > 2 ** 24 ? 1 : 0;
  const at = (sizes: readonly [number, number, number, number]): number => sizes[tier] ?? sizes[0];
  const isGdn = kind === "gdn" || kind === "gdn-moe";
  const hasTable = kind === "per-layer-embeddings";
  return {
    layers: at(isGdn || hasTable ? [4, 4, 8, 16] : [2, 4, 8, 16]),
    hidden: at([256, 256, 512, 1024]),
    feedForward: at([256, 512, 1024, 2048]),
    experts: at([4, 8, 32, 64]),
    expertsUsed: at([2, 2, 4, 4]),
    expertFeedForward: 256,
    vocabulary: hasTable ? at([SMALLEST_VOCABULARY, 4096, 32_768, 65_536]) : SMALLEST_VOCABULARY,
    perLayerEmbedding: 256,
    sharedKvLayers: hasTable ? 1 : 0,
    keyIsValue: false,
    mtp: isGdn,
    weightDtype: "Q5_0",
    expertDtype: undefined,
    embeddingDtype: "Q5_1",
  };
}

/**
 * Turns the kind's size knob until the tensors come as close to `targetBytes` as its steps allow. A tensor
 * list's bytes are affine in the knob, so two measurements are enough.
 */
export function fitToTarget(
  kind: ModelKind,
  shape: ModelShape,
  targetBytes: number,
  measure: (shape: ModelShape) => number,
): ModelShape {
  const { field, step } = sizeKnob(kind, shape);
  const one = measure({ ...shape, [field]: step });
  const perStep = measure({ ...shape, [field]: 2 * step }) - one;
  const steps = 1 + Math.max(0, Math.round((targetBytes - one) / perStep));
  return { ...shape, [field]: steps * step };
}
