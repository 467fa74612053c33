import { gib } from "../../units.ts";
import { parseTensorName } from "../gguf/tensor-names.ts";
import type { PlannedTensor } from "../pass.ts";

/**
 * Types that llama.cpp rearranges on x86-64 (`ggml_repack_get_optimal_repack_type` in its
 * `repack.cpp`): the first three with AVX2, the last with AVX-512.
 */
const REPACKED_TYPES: ReadonlySet<string> = new Set(["Q4_0", "Q4_K", "IQ4_NL", "Q2_K"]);
/** Rows are interleaved by eight. */
const ROWS = 8;

/**
 * Makes a note on the planned weights that llama.cpp may copy out of the mapping, overridden ones included
 * (since its pull request 14990). A GPU build with pinned host memory does not copy: that buffer type comes
 * first in its list, and is then replaced by the mapping.
 */
export function repackNotes(regions: readonly PlannedTensor[]): string[] {
  const repacked = regions.filter(({ tensor }) => {
    // Matrices only, and not embeddings: those are looked up, not multiplied.
    if (parseTensorName(tensor.name).block === undefined) return false;
    const rows = tensor.shape[1] ?? 0;
    return REPACKED_TYPES.has(tensor.dtype) && rows > 0 && rows % ROWS === 0;
  });
  if (repacked.length === 0) return [];
  const bytes = repacked.reduce((sum, { tensor }) => sum + tensor.byteLength, 0);
  return [
    `llama.cpp without a GPU backend copies ${repacked.length} of these weights ` +
      `(${gib(bytes)}) out of the mapping on x86-64 (CPU_REPACK): ` +
      "for them the sweep speeds up the load only, unless --no-repack is given",
  ];
}
