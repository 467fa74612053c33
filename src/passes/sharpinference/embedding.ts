import type { Tensor } from "../../model/model.ts";
import { EMBEDDING, OUTPUT } from "../gguf/tensor-names.ts";
import type { IndexedModel, PassName } from "../pass.ts";
import type { ReferencePlacement } from "./placement.ts";

/** The largest GPU buffer of the reference, in bytes: its sizes are signed 32-bit numbers. */
const LARGEST_BUFFER = 2 ** 31 - 1;

interface Residency {
  /** Types of the embedding that the GPU holds as they are in the file. */
  readonly embedding: readonly string[];
  readonly output: readonly string[];
  /** A raw size is rounded up to a multiple of this many bytes. */
  readonly roundTo: 1 | 4;
}

const HYBRID: Residency = {
  embedding: ["Q4_K"],
  output: ["F32", "Q4_K", "Q6_K"],
  roundTo: 4,
};

/** Any other type is expanded to 4 bytes an element. From the table in `passes.md`, section 3.5. */
const RESIDENCY: Partial<Record<PassName, Residency>> = {
  hybrid: HYBRID,
  "cuda-hybrid": HYBRID,
  "cuda-hybrid-gdn": {
    embedding: ["Q4_K", "Q5_K"],
    output: ["F32", "Q4_K", "Q5_K", "Q6_K"],
    roundTo: 4,
  },
  "vulkan-hybrid-gdn": {
    embedding: ["Q4_K", "Q6_K"],
    output: ["Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0"],
    roundTo: 1,
  },
};

/**
 * Whether `token_embd`, `output_norm` and `output` stay on the CPU in a pass of the reference: they
 * do, all together, when one of them is larger on the GPU than 2^31 - 1 bytes.
 */
export function embeddingStaysOnCpu(pass: PassName, model: IndexedModel): boolean {
  const rule = RESIDENCY[pass];
  if (rule === undefined) return true;
  const embedding = model.index.find(EMBEDDING);
  const output = model.index.find(OUTPUT);
  const tooLarge = (tensor: Tensor | undefined, raw: readonly string[]) =>
    tensor !== undefined && gpuBytes(tensor, raw, rule.roundTo) > LARGEST_BUFFER;
  return tooLarge(embedding, rule.embedding) || tooLarge(output, rule.output);
}

/** The place that the caller gives, or else that of the rule. */
export function isEmbeddingOnCpu(
  pass: PassName,
  model: IndexedModel,
  placement: ReferencePlacement,
): boolean {
  const where = placement.embedding ?? "auto";
  return where === "auto" ? embeddingStaysOnCpu(pass, model) : where === "cpu";
}

function gpuBytes(tensor: Tensor, raw: readonly string[], roundTo: number): number {
  if (raw.includes(tensor.dtype)) return Math.ceil(tensor.byteLength / roundTo) * roundTo;
  return tensor.shape.reduce((elements, extent) => elements * extent, 1) * 4;
}
