import { type Command, InvalidArgumentError, Option } from "commander";
import { openModels } from "../model/open-models.ts";
import {
  PASS_NAMES,
  type PassName,
  type Placement,
  parseOverrides,
  planPass,
  type TensorOverride,
} from "../passes/index.ts";
import { wholeNumber } from "./flags.ts";
import { type PlannedModels, planEach } from "./operands.ts";

export interface PlacementFlags {
  readonly nGpuLayers?: number;
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
    new Option("--n-gpu-layers <N>", "layers on the GPU, or all (default: 0)").argParser(gpuLayers),
    new Option("--cpu-moe", "routed experts stay on the CPU"),
    new Option("--n-cpu-moe <N>", "those of the first N layers do").argParser(wholeNumber),
    new Option("--n-cpu-ffn <N>", "the dense FFN of the first N layers does").argParser(
      wholeNumber,
    ),
    new Option("--override-tensor <REGEX=BUFFER>", "where tensors go; repeatable").argParser(add),
    new Option("--pass <NAME>", "whose rules (default: llama.cpp)").choices(PASS_NAMES),
  ];
  for (const flag of flags) command.addOption(flag.helpGroup(GROUP));
}

function gpuLayers(text: string): number {
  if (text === "all") return -1;
  if (text === "auto") {
    throw new InvalidArgumentError(
      'the engine decides it by the free VRAM while it loads; give the number it logs as "offloaded N/M layers"',
    );
  }
  return wholeNumber(text);
}

export function hasPlacement(flags: PlacementFlags): boolean {
  const { nGpuLayers, cpuMoe, nCpuMoe, nCpuFfn, overrideTensor, pass } = flags;
  const given = [nGpuLayers, cpuMoe, nCpuMoe, nCpuFfn, overrideTensor, pass];
  return given.some((flag) => flag !== undefined);
}

/** Opens the models and plans each; the placement is the same for all. */
export async function planOperands(
  operands: readonly string[],
  flags: PlacementFlags,
): Promise<PlannedModels> {
  const placement = placementOf(flags);
  const opened = await openModels(operands);
  return planEach(opened, (model) => planPass(model, placement, flags.pass));
}

function placementOf(flags: PlacementFlags): Placement {
  const { nGpuLayers, cpuMoe, nCpuMoe, nCpuFfn, overrideTensor } = flags;
  return {
    ...(nGpuLayers !== undefined && { gpuLayers: nGpuLayers }),
    ...(cpuMoe !== undefined && { cpuMoe }),
    ...(nCpuMoe !== undefined && { nCpuMoe }),
    ...(nCpuFfn !== undefined && { nCpuFfn }),
    ...(overrideTensor && {
      overrides: overrideTensor.early,
      lateOverrides: overrideTensor.late,
    }),
  };
}
