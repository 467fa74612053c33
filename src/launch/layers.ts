import type { LlamaPlacement } from "../passes/index.ts";
import type { EngineName } from "./engines.ts";
import { askFitParams, findFitParams, fitArguments } from "./fit-params.ts";
import { usage } from "./given.ts";
import type { LayerCount } from "./layer-count.ts";
import { hasOverrides, type LinePlacement } from "./placement-of-line.ts";
import type { Reading } from "./reading.ts";
import type { Settings } from "./settings.ts";

/** Decides the number of GPU layers: by the user, by the line, or by `llama-fit-params`. */
export async function decideLayers(
  reading: Reading,
  path: string,
  { layers, placement }: LinePlacement,
  settings: Settings,
): Promise<{ placement: LlamaPlacement; notes: string[] }> {
  const own = reading.context.placement ?? {};
  const merged: LlamaPlacement = {
    ...placement,
    ...own,
    ...(own.overrides && { overrides: [...own.overrides, ...(placement.overrides ?? [])] }),
    ...(own.lateOverrides && {
      lateOverrides: [...own.lateOverrides, ...(placement.lateOverrides ?? [])],
    }),
  };
  if (own.gpuLayers !== undefined) return { placement: merged, notes: [] };
  if (layers.kind === "known") {
    return { placement: { ...merged, gpuLayers: layers.layers }, notes: [] };
  }
  const notes: string[] = [];
  const canAsk = reading.engine === "llama.cpp" && !hasOverrides(merged);
  const tool = canAsk ? await findFitParams(reading.line.program, reading.context.env) : undefined;
  if (tool !== undefined) {
    const env = { ...reading.context.env, ...reading.ownEnv };
    const fit = await askFitParams(tool, fitArguments(path, settings), env, reading.context.signal);
    if (typeof fit !== "string") {
      return {
        placement: { ...merged, gpuLayers: fit.gpuLayers, overrides: fit.overrides },
        notes: [`the layers are those that ${tool} gives now: -ngl ${fit.gpuLayers}`],
      };
    }
    if (layers.kind === "auto") throw usage(`${layers.by}: ${fit}; ${GIVE_THE_NUMBER}`);
    notes.push(fit);
  }
  if (layers.kind === "auto") throw usage(adviceOn(layers, reading.engine));
  return { placement: merged, notes: [...notes, openLayersNote(reading.engine, merged)] };
}

const GIVE_THE_NUMBER =
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
