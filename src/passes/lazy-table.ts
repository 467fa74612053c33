import type { Tensor } from "../model/model.ts";
import { PER_LAYER_TABLE } from "./gguf/tensor-names.ts";
import type { CommonPlacement } from "./placement.ts";

/** A table of more bytes is lazy: the limit of llama.cpp's `--lazy-mode auto`. */
export const LAZY_TABLE_BYTES = 4 * 2 ** 30;

export const LAZY_REASON = "lazy table over 4 GiB, a token reads a few rows";

/** Whether a tensor is a table of which a token reads a few rows, and which is not made resident. */
export function isLazyTable(tensor: Tensor, placement: CommonPlacement): boolean {
  if (placement.lazyTables === "include") return false;
  return tensor.name === PER_LAYER_TABLE && tensor.byteLength > LAZY_TABLE_BYTES;
}
