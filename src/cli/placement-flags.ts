import { type Command, Option } from "commander";
import {
  type LlamaPlacement,
  PASS_NAMES,
  type PassName,
  parseOverrides,
  type TensorOverride,
} from "../passes/index.ts";
import { count, type Flags, wholeNumber } from "./flags.ts";

export interface PlacementFlags extends Pick<Flags, "line"> {
  readonly nGpuLayers?: number | "auto";
  readonly cpuMoe?: true;
  readonly nCpuMoe?: number;
  readonly nCpuFfn?: number;
  readonly overrideTensor?: Overrides;
  readonly engine?: PassName;
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
      count,
    ),
    new Option("--n-cpu-ffn <N>", "dense FFN of the first N layers stays on it").argParser(count),
    new Option("--override-tensor <REGEX=BUFFER>", "where tensors go; repeatable").argParser(add),
    new Option("--engine <NAME>", "whose rules (default: llama.cpp)").choices(PASS_NAMES),
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
  const { nGpuLayers, cpuMoe, nCpuMoe, nCpuFfn, overrideTensor, engine, line } = flags;
  const given = [nGpuLayers, cpuMoe, nCpuMoe, nCpuFfn, overrideTensor, engine, line];
  return given.some((flag) => flag !== undefined);
}

/** The flags as a placement; `auto` is left open. */
export function placementOf(flags: PlacementFlags): LlamaPlacement {
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
