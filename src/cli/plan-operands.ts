import { PrefaultError } from "../errors.ts";
import { adviceOn, openLayersNote } from "../launch/layers-note.ts";
import type { Model } from "../model/model.ts";
import { openModels } from "../model/open-models.ts";
import { type LlamaPlacement, type PlannedModels, planEach, planPass } from "../passes/index.ts";
import { type PlacementFlags, placementOf } from "./placement-flags.ts";

/**
 * Opens the models and plans each: by the flags, or each file of a pasted line by its own part. One that
 * cannot be planned is reported with its name, and the others are planned all the same.
 *
 * @throws {@link PrefaultError} for an option that cannot be, and for the only model of a set
 */
export async function planOperands(
  operands: readonly string[],
  flags: PlacementFlags,
  signal: AbortSignal,
): Promise<PlannedModels> {
  const { line, engine } = flags;
  if (line !== undefined) {
    // A number that was given before the line is better than one that the line leaves open.
    const { planLaunch } = await import("../launch/index.ts");
    const context = { env: process.env, placement: placementOf(flags), operands, signal };
    return planLaunch(line, context, engine);
  }
  const opened = await openModels(operands, { signal });
  return planEach(opened, async (model) => {
    const { placement, notes } = await decided(model, flags, signal);
    const plan = planPass(model, placement, engine);
    return { ...plan, notes: [...plan.notes, ...notes] };
  });
}

/** The files that a pasted line loads. */
export async function filesOfLine(line: readonly string[], signal: AbortSignal): Promise<string[]> {
  const { readLaunch } = await import("../launch/index.ts");
  const { parts } = await readLaunch(line, {
    env: process.env,
    placement: { gpuLayers: 0 },
    signal,
  });
  return [...new Set(parts.map(({ path }) => path))];
}

/** Puts a number in place of `-ngl auto`. @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` */
async function decided(
  model: Model,
  flags: PlacementFlags,
  signal: AbortSignal,
): Promise<{ placement: LlamaPlacement; notes: string[] }> {
  const { nGpuLayers, engine: pass = "llama.cpp", ...others } = flags;
  if (nGpuLayers !== "auto") {
    const placement = placementOf(flags);
    const isOpen = pass === "llama.cpp" && nGpuLayers === undefined;
    return { placement, notes: isOpen ? [openLayersNote(pass, placement)] : [] };
  }
  const placement = placementOf(others);
  const isPlacedByHand = Object.keys(placement).length > 0;
  // llama.cpp fits nothing beside overrides of the user's: every layer is on the GPU then.
  if (pass === "llama.cpp" && isPlacedByHand) {
    return { placement: { ...placement, gpuLayers: -1 }, notes: [] };
  }
  const path = model.files[0]?.path ?? "";
  const { askFitParams, findFitParams } = await import("../launch/fit-params.ts");
  const tool = pass === "llama.cpp" ? await findFitParams("", process.env) : undefined;
  if (tool === undefined) {
    const engine = pass === "llama.cpp" ? pass : "ik_llama.cpp";
    throw invalid(adviceOn({ kind: "auto", by: "-ngl auto" }, engine));
  }
  const fit = await askFitParams(tool, ["-m", path], process.env, signal);
  if (typeof fit === "string") throw invalid(`-ngl auto: ${fit}`);
  return {
    placement: { gpuLayers: fit.gpuLayers, overrides: fit.overrides },
    notes: [`the layers are as ${tool} answers now: -ngl ${fit.gpuLayers}`],
  };
}

function invalid(message: string): PrefaultError {
  return new PrefaultError("PREFAULT_INVALID_OPTION", message);
}
