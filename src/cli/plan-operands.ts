import { PrefaultError } from "../errors.ts";
import {
  adviceOn,
  askFitParams,
  findFitParams,
  type LaunchPart,
  openLayersNote,
  readLaunch,
} from "../launch/index.ts";
import type { Model } from "../model/model.ts";
import { type FailedPath, type OpenedModels, openModels } from "../model/open-models.ts";
import { type LlamaPlacement, type ModelPlan, type PassName, planPass } from "../passes/index.ts";
import { type PlacementFlags, placementOf } from "./placement-flags.ts";

/** Plans of a set of models, as far as there are any. */
export interface PlannedModels {
  readonly plans: readonly ModelPlan[];
  readonly failures: readonly FailedPath[];
  /** About the set or the pasted line; each plan has notes of its own. */
  readonly notes: readonly string[];
}

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
  if (line !== undefined) return planLine(line, operands, flags, signal);
  const opened = await openModels(operands, { signal });
  return planEach(opened, async (model) => {
    const { placement, notes } = await decided(model, flags, signal);
    const plan = planPass(model, placement, engine);
    return { ...plan, notes: [...plan.notes, ...notes] };
  });
}

/** The files that a pasted line loads. */
export async function filesOfLine(line: readonly string[], signal: AbortSignal): Promise<string[]> {
  const { parts } = await readLaunch(line, {
    env: process.env,
    placement: { gpuLayers: 0 },
    signal,
  });
  return [...new Set(parts.map(({ path }) => path))];
}

async function planLine(
  line: readonly string[],
  operands: readonly string[],
  flags: PlacementFlags,
  signal: AbortSignal,
): Promise<PlannedModels> {
  const launch = await readLaunch(line, {
    env: process.env,
    // A number that was given before the line is better than one that the line leaves open.
    placement: placementOf(flags),
    operands,
    signal,
  });
  const planned = new Set<string>();
  const plans: ModelPlan[] = [];
  const failures: FailedPath[] = [];
  const notes = [...launch.notes];
  for (const part of launch.parts) {
    // The only file of a line fails like the only operand; one of several is reported beside the others.
    const opened = await openModels([part.path], { signal }).catch((thrown: unknown) => {
      if (launch.parts.length === 1 || !PrefaultError.is(thrown) || signal.aborted) throw thrown;
      return { models: [], failures: [{ path: part.path, error: thrown }], notes: [] };
    });
    const found = await planEach(opened, async (model) => {
      const plan = planPart(model, part, flags.engine);
      const runs = withoutPlanned(plan, planned);
      return { ...plan, runs, notes: [...plan.notes, ...part.notes] };
    });
    plans.push(...found.plans);
    failures.push(...found.failures);
    notes.push(...found.notes);
  }
  const [only] = failures;
  if (plans.length === 0 && failures.length === 1 && only !== undefined) throw only.error;
  return { plans, failures, notes };
}

/** A tensor that two parts leave on the CPU is warmed once. */
function withoutPlanned({ model, runs }: ModelPlan, planned: Set<string>) {
  const identities = model.files.map(({ identity, path }) => identity ?? path);
  const isNew = (file: number, offset: number) => {
    const key = `${identities[file]}@${offset}`;
    return !planned.has(key) && planned.add(key);
  };
  return runs
    .map((run) => ({
      ...run,
      regions: run.regions.filter(({ tensor }) => isNew(tensor.file, tensor.offset)),
    }))
    .filter(({ regions }) => regions.length > 0);
}

/** What the engine reads whole is planned whole. */
function planPart(model: Model, { role, placement, pass }: LaunchPart, own?: PassName): ModelPlan {
  if (placement !== undefined) return planPass(model, placement, own ?? pass);
  const label = role === "companion" || role === "other" ? "whole file" : role;
  const regions = model.tensors.map((tensor) => ({ tensor, reason: `${label}, read at load` }));
  return {
    model,
    pass,
    runs: [{ name: "core", label, gate: "fits-in-free-ram", regions }],
    elsewhere: [],
    notes: [],
  };
}

async function planEach(
  { models, failures, notes }: OpenedModels,
  plan: (model: Model) => Promise<ModelPlan>,
): Promise<PlannedModels> {
  const plans: ModelPlan[] = [];
  const failed = [...failures];
  for (const model of models) {
    try {
      plans.push(await plan(model));
    } catch (thrown) {
      if (!PrefaultError.is(thrown) || thrown.code === "PREFAULT_INVALID_OPTION") throw thrown;
      const path = model.files[0]?.path ?? "";
      const error = withPath(thrown, path);
      if (models.length + failures.length === 1) throw error;
      failed.push({ path, error });
    }
  }
  return { plans, failures: failed, notes };
}

/** An error that names the file it is about. */
function withPath(error: PrefaultError, path: string): PrefaultError {
  if (error.path !== undefined || error.message.includes(path)) return error;
  const { code, message, errno, offset } = error;
  return new PrefaultError(code, `${path}: ${message}`, { path, errno, offset, cause: error });
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
