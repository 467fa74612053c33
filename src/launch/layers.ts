import { hasOverrides, type LlamaPlacement } from "../passes/index.ts";
import { askFitParams, findFitParams, fitArguments } from "./fit-params.ts";
import { usage } from "./given.ts";
import { adviceOn, GIVE_THE_NUMBER, openLayersNote } from "./layers-note.ts";
import type { LinePlacement } from "./placement-of-line.ts";
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
