import { GGMLQuantizationType } from "@huggingface/gguf";

/** The element types this generator can fill; the sizes are those of ggml's `ggml-common.h`. */
export type Dtype = "F32" | "F16" | "BF16" | "Q4_0" | "Q4_K" | "Q5_0" | "Q5_1" | "Q6_K" | "Q8_0";

interface Block {
  readonly elements: number;
  readonly bytes: number;
}

/**
 * Written out here rather than taken from the package under test: these sizes are what its own table is checked against.
 */
const BLOCKS: Readonly<Record<Dtype, Block>> = {
  F32: { elements: 1, bytes: 4 },
  F16: { elements: 1, bytes: 2 },
  BF16: { elements: 1, bytes: 2 },
  Q4_0: { elements: 32, bytes: 18 },
  Q4_K: { elements: 256, bytes: 144 },
  Q5_0: { elements: 32, bytes: 22 },
  Q5_1: { elements: 32, bytes: 24 },
  Q6_K: { elements: 256, bytes: 210 },
  Q8_0: { elements: 32, bytes: 34 },
};

export function blockOf(dtype: Dtype): Block {
  return BLOCKS[dtype];
}

export function ggmlTypeId(dtype: Dtype): number {
  return GGMLQuantizationType[dtype];
}

/** @param shape elements per dimension; ggml's order, so the first dimension is the contiguous one */
export function tensorByteLength(dtype: Dtype, shape: readonly number[]): number {
  const { elements, bytes } = blockOf(dtype);
  const rowLength = shape[0] ?? 1;
  if (rowLength % elements !== 0) {
    throw new RangeError(
      `a ${dtype} row holds a multiple of ${elements} elements, got ${rowLength}`,
    );
  }
  return (shape.reduce((product, length) => product * length, 1) / elements) * bytes;
}
