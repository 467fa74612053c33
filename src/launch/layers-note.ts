import { hasOverrides, type LlamaPlacement } from "../passes/index.ts";
import type { EngineName } from "./engines.ts";
import type { LayerCount } from "./layer-count.ts";

/** What to do about a number of layers that only the engine knows. */
export const GIVE_THE_NUMBER =
  'give the number that the engine logs as "offloaded N/M layers", as -ngl N before --';

/** The message for a number of layers that only the engine knows. */
export function adviceOn(layers: LayerCount & { kind: "auto" }, engine: EngineName): string {
  const says = `${layers.by}: the engine decides by the free VRAM while it loads`;
  return engine === "llama.cpp"
    ? `${says}. Install llama-fit-params, which comes with llama.cpp, on PATH or beside the engine, so that ` +
        `prefault can ask it; or ${GIVE_THE_NUMBER}`
    : `${says}; ${GIVE_THE_NUMBER}`;
}

/** The note on a line without a number of layers. */
export function openLayersNote(engine: EngineName, placement: LlamaPlacement): string {
  const taken = "no -ngl was given, so every layer is taken to be on the CPU; ";
  if (engine === "llama.cpp" && hasOverrides(placement)) {
    return (
      `${taken}a recent llama.cpp puts every layer on the GPU when tensors are placed by hand: ` +
      "give -ngl all then"
    );
  }
  return `${taken}a recent ${engine === "koboldcpp" ? engine : "llama.cpp"} chooses by itself: give the number it logs as "offloaded N/M layers"`;
}
