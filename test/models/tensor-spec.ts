import { type Dtype, tensorByteLength } from "./dtype.ts";

/**
 * What the numbers must look like for a forward pass to stay finite: weights around zero, norm gains around
 * one, and the decay of a recurrent layer below zero.
 */
export type Fill = "weight" | "norm" | "decay";

/** A tensor to be written. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: Dtype;
  /** Elements per dimension, in the order the format stores them. */
  readonly shape: readonly number[];
  readonly fill: Fill;
}

export function weight(name: string, dtype: Dtype, ...shape: number[]): TensorSpec {
  return { name, dtype, shape, fill: "weight" };
}

/** llama.cpp keeps one-dimensional tensors in F32 whatever the model's quantisation is. */
export function vector(name: string, length: number, fill: Fill = "norm"): TensorSpec {
  return { name, dtype: "F32", shape: [length], fill };
}

export function totalByteLength(tensors: readonly TensorSpec[]): number {
  return tensors.reduce((sum, tensor) => sum + tensorByteLength(tensor.dtype, tensor.shape), 0);
}
