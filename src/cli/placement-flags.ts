import { type Command, Option } from "commander";
import { PrefaultError } from "../errors.ts";
import { fileIdentity } from "../files.ts";
import {
  adviceOn,
  askFitParams,
  findFitParams,
  type LaunchPart,
  openLayersNote,
  readLaunch,
} from "../launch/index.ts";
import type { Model } from "../model/model.ts";
import {
  type ModelPlan,
  PASS_NAMES,
  type PassName,
  type Placement,
  parseOverrides,
  planPass,
  type TensorOverride,
} from "../passes/index.ts";
import { openModels } from "../target.ts";
import { type Flags, wholeNumber } from "./flags.ts";
import { openOperands } from "./operands.ts";

export interface PlacementFlags extends Pick<Flags, "line"> {
  readonly nGpuLayers?: number | "auto";
  readonly cpuMoe?: true;
  readonly nCpuMoe?: number;
  readonly nCpuFfn?: number;
  readonly overrideTensor?: Overrides;
  readonly pass?: PassName;
}

interface Overrides {
  /** Given before `--cpu-moe` and `--n-cpu-moe`, and so stronger. */
  readonly early: readonly TensorOverride[];
  readonly late: readonly TensorOverride[];
}

/** How the help shows flags that the parser knows by their long form only. */
export const PLACEMENT_TERMS: Readonly<Record<string, string>> = {
  "--n-gpu-layers": "-ngl, --n-gpu-layers <N>",
  "--cpu-moe": "-cmoe, --cpu-moe",
  "--n-cpu-moe": "-ncmoe, --n-cpu-moe <N>",
  "--n-cpu-ffn": "-ncffn, --n-cpu-ffn <N>",
  "--override-tensor": "-ot, --override-tensor <REGEX=BUFFER>",
};

const GROUP = "Placement, as llama.cpp spells it (none: every byte of the file):";

export function addPlacementFlags(command: Command): void {
  // Parsed from left to right, so that what has been seen already is what came before.
  const isLate = () =>
    ["cpuMoe", "nCpuMoe", "nCpuFfn"].some((name) => command.getOptionValue(name));
  const add = (value: string, before: Overrides = { early: [], late: [] }): Overrides => {
    const group = isLate() ? "late" : "early";
    return { ...before, [group]: [...before[group], ...parseOverrides(value)] };
  };
  const flags = [
    new Option("--n-gpu-layers <N>", "layers on the GPU, all, or auto (default: 0)").argParser(
      gpuLayers,
    ),
    new Option("--cpu-moe", "routed experts of every layer stay on the CPU"),
    new Option("--n-cpu-moe <N>", "routed experts of the first N layers stay on it").argParser(
      wholeNumber,
    ),
    new Option("--n-cpu-ffn <N>", "dense FFN of the first N layers stays on it").argParser(
      wholeNumber,
    ),
    new Option("--override-tensor <REGEX=BUFFER>", "where tensors go; repeatable").argParser(add),
    new Option("--pass <NAME>", "the engine's rules (default: llama.cpp)").choices(PASS_NAMES),
  ];
  for (const flag of flags) command.addOption(flag.helpGroup(GROUP));
}

/** As llama.cpp reads it since the end of 2025: -1 is auto, and what is below it is all. */
function gpuLayers(text: string): number | "auto" {
  if (text === "auto") return "auto";
  if (text === "all") return -1;
  const layers = wholeNumber(text);
  if (layers === -1) return "auto";
  return Math.max(layers, -1);
}

export function hasPlacement(flags: PlacementFlags): boolean {
  const { nGpuLayers, cpuMoe, nCpuMoe, nCpuFfn, overrideTensor, pass, line } = flags;
  const given = [nGpuLayers, cpuMoe, nCpuMoe, nCpuFfn, overrideTensor, pass, line];
  return given.some((flag) => flag !== undefined);
}

/** Plans for everything that is to be warmed. */
export interface Planned {
  readonly plans: readonly ModelPlan[];
  /** Sentences about the pasted line, which are also in the notes of the first plan. */
  readonly notes: readonly string[];
}

/** Opens the models and plans each: by the flags, or each file of a pasted line by its own part. */
export async function planOperands(
  operands: readonly string[],
  flags: PlacementFlags,
  signal?: AbortSignal,
): Promise<Planned> {
  const { line, pass } = flags;
  if (line !== undefined) return planLine(line, operands, flags, signal);
  const models = await openOperands(operands);
  const plans: ModelPlan[] = [];
  for (const model of models) {
    const { placement, notes } = await decided(model, flags, signal);
    const plan = planPass(model, placement, pass);
    plans.push({ ...plan, notes: [...plan.notes, ...notes] });
  }
  return { plans, notes: [] };
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
  signal: AbortSignal | undefined,
): Promise<Planned> {
  const { pass } = flags;
  const launch = await readLaunch(line, {
    env: process.env,
    // A number that was given before the line is better than one that the line leaves open.
    placement: placementOf(flags),
    operands,
    ...(signal && { signal }),
  });
  const plans: ModelPlan[] = [];
  const planned = new Set<string>();
  for (const part of launch.parts) {
    for (const model of await openModels([part.path])) {
      const identities = await Promise.all(model.files.map(({ path }) => fileIdentity(path)));
      const isNew = (file: number, offset: number) => {
        const key = `${identities[file]}@${offset}`;
        return !planned.has(key) && planned.add(key);
      };
      const plan = planPart(model, part, pass);
      // A tensor that two parts leave on the CPU is warmed once.
      const runs = plan.runs.map((run) => ({
        ...run,
        regions: run.regions.filter(({ tensor }) => isNew(tensor.file, tensor.offset)),
      }));
      const isFirst = plans.length === 0;
      const notes = [...plan.notes, ...part.notes, ...(isFirst ? launch.notes : [])];
      plans.push({ ...plan, runs: runs.filter(({ regions }) => regions.length > 0), notes });
    }
  }
  return { plans, notes: launch.notes };
}

/** What the engine reads whole is planned whole. */
function planPart(model: Model, { role, placement, pass }: LaunchPart, own?: PassName): ModelPlan {
  if (placement !== undefined) return planPass(model, placement, own ?? pass);
  const label = role === "companion" || role === "other" ? "whole file" : role;
  const regions = model.tensors.map((tensor) => ({ tensor, reason: `${label}, read at load` }));
  return {
    model,
    pass,
    runs: [{ label, gate: "fits-in-free-ram", regions }],
    elsewhere: [],
    notes: [],
  };
}

/** Puts a number in place of `-ngl auto`. @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` */
async function decided(
  model: Model,
  flags: PlacementFlags,
  signal: AbortSignal | undefined,
): Promise<{ placement: Placement; notes: string[] }> {
  const { nGpuLayers, pass = "llama.cpp", ...others } = flags;
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

function placementOf(flags: PlacementFlags): Placement {
  const { nGpuLayers, cpuMoe, nCpuMoe, nCpuFfn, overrideTensor } = flags;
  return {
    ...(typeof nGpuLayers === "number" && { gpuLayers: nGpuLayers }),
    ...(cpuMoe !== undefined && { cpuMoe }),
    ...(nCpuMoe !== undefined && { nCpuMoe }),
    ...(nCpuFfn !== undefined && { nCpuFfn }),
    ...(overrideTensor && {
      overrides: overrideTensor.early,
      lateOverrides: overrideTensor.late,
    }),
  };
}
