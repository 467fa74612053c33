import {
  hasOverrides,
  type LlamaPlacement,
  parseOverrides,
  type TensorOverride,
} from "../passes/index.ts";
import type { EngineName } from "./engines.ts";
import { type Given, parseWhole, usage } from "./given.ts";
import {
  ALL,
  benchNumbers,
  known,
  type LayerCount,
  layersOf,
  mainlineLayers,
} from "./layer-count.ts";
import type { OptionName } from "./options.ts";
import type { Settings } from "./settings.ts";

/** The placement of one model as a command line gives it. */
export interface LinePlacement {
  readonly layers: LayerCount;
  /** Without `gpuLayers`. */
  readonly placement: LlamaPlacement;
  readonly notes: readonly string[];
}

/** The options of the model itself, or of the draft model beside it. */
interface Names {
  readonly overrideTensor: OptionName;
  readonly cpuMoe: OptionName;
  readonly nCpuMoe: OptionName;
  readonly nCpuFfn: OptionName | undefined;
}

const MODEL: Names = {
  overrideTensor: "overrideTensor",
  cpuMoe: "cpuMoe",
  nCpuMoe: "nCpuMoe",
  nCpuFfn: "nCpuFfn",
};
const DRAFT: Names = {
  overrideTensor: "draftOverrideTensor",
  cpuMoe: "draftCpuMoe",
  nCpuMoe: "draftNCpuMoe",
  nCpuFfn: undefined,
};

/** Reads the placement of the model. @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` */
export function placementOfModel(engine: EngineName, settings: Settings): LinePlacement {
  const isCpuOnly = isWithoutGpu(settings, "device");
  const { placement, notes } = placementBy(engine, settings, MODEL, isCpuOnly);
  const layers = isCpuOnly ? known(0) : layersOf(engine, settings, hasOverrides(placement));
  const specType = settings.text("specType") ?? "";
  return {
    layers,
    placement: {
      ...placement,
      ...(settings.text("lazyMode") === "off" && { lazyTables: "include" as const }),
      ...(settings.isOn("repack") === false && { repack: false }),
      ...((/(^|,)(draft-)?mtp(,|$)/.test(specType) || settings.isOn("mtp") === true) && {
        mtp: true,
      }),
    },
    notes,
  };
}

/** Reads the placement of the draft model. Its device is the model's, unless it has one of its own. */
export function placementOfDraft(engine: EngineName, settings: Settings): LinePlacement {
  const device: OptionName = settings.has("draftDevice") ? "draftDevice" : "device";
  const isCpuOnly = isWithoutGpu(settings, device);
  const { placement, notes } = placementBy(engine, settings, DRAFT, isCpuOnly);
  if (isCpuOnly) return { layers: known(0), placement, notes };
  const given = settings.last("draftGpuLayers");
  // koboldcpp puts all of it on the GPU by default.
  if (given === undefined && engine === "koboldcpp")
    return { layers: known(ALL), placement, notes };
  const layers = given === undefined ? ({ kind: "open" } as const) : mainlineLayers(given);
  return { layers, placement, notes };
}

/** `--device none`, koboldcpp's `--usecpu` and llamafile's `--gpu disable`. */
function isWithoutGpu(settings: Settings, device: OptionName): boolean {
  const given = settings.last(device);
  if (given !== undefined && /^cpu$/i.test(given.value)) {
    throw usage(`${given.by} ${given.value} is refused by llama.cpp: "none" means the CPU`);
  }
  if (given?.value.trim().toLowerCase() === "none") return true;
  return settings.isOn("cpuOnly") === true || /^disabled?$/i.test(settings.text("gpu") ?? "");
}

function placementBy(
  engine: EngineName,
  settings: Settings,
  names: Names,
  isCpuOnly: boolean,
): { placement: LlamaPlacement; notes: string[] } {
  const notes: string[] = [];
  const { early, late } = overridesOf(engine, settings, names, notes);
  const gpuBuffer = [...early, ...late].find(({ buffer }) => !/^CPU|^AMX$|_Host$/.test(buffer));
  if (isCpuOnly && gpuBuffer !== undefined) {
    const { pattern, buffer } = gpuBuffer;
    throw usage(`-ot ${pattern}=${buffer} contradicts the line, which uses no GPU at all`);
  }
  const cpuMoe = settings.isOn(names.cpuMoe) === true;
  const nCpuMoe = mostOf(settings.all(names.nCpuMoe), engine);
  const nCpuFfn = names.nCpuFfn === undefined ? 0 : mostOf(settings.all(names.nCpuFfn), engine);
  const placement: LlamaPlacement = {
    ...(early.length > 0 && { overrides: early }),
    ...(late.length > 0 && { lateOverrides: late }),
    ...(cpuMoe && { cpuMoe }),
    ...(nCpuMoe > 0 && { nCpuMoe }),
    ...(nCpuFfn > 0 && { nCpuFfn }),
  };
  return { placement, notes };
}

/**
 * The overrides of all sources, the strongest source first: llama.cpp uses all of them. Overrides after
 * `--cpu-moe` and similar flags are weaker than these.
 */
function overridesOf(engine: EngineName, settings: Settings, names: Names, notes: string[]) {
  const early: TensorOverride[] = [];
  const late: TensorOverride[] = [];
  let isBehind = false;
  for (const source of settings.sources) {
    const moe = [names.cpuMoe, names.nCpuMoe, names.nCpuFfn].flatMap((name) =>
      name === undefined ? [] : (source.get(name) ?? []),
    );
    const moeAt = Math.min(...moe.map(({ at }) => at));
    for (const given of source.get(names.overrideTensor) ?? []) {
      const list = isBehind || given.at > moeAt ? late : early;
      list.push(...overridesIn(engine, given, notes));
    }
    isBehind ||= moe.length > 0;
  }
  return { early, late };
}

function overridesIn(engine: EngineName, { value, by }: Given, notes: string[]): TensorOverride[] {
  if (value.trim() === "") return [];
  const [first = "", ...others] = engine === "llama-bench" ? value.split(",") : [value];
  if (others.length > 0) {
    notes.push(`${by} gives several sets of overrides: the first, ${first}, is the one planned`);
  }
  const text = engine === "llama-bench" ? first.replaceAll(";", ",") : first;
  return parseOverrides(text).map((each) => ({ ...each, unmatched: "note" as const }));
}

/** The largest number: llama.cpp applies all of them, and llama-bench runs one after the other. */
function mostOf(given: readonly Given[], engine: EngineName): number {
  const counts = given.flatMap((each) =>
    engine === "llama-bench" ? benchNumbers(each) : [parseWhole(each)],
  );
  for (const count of counts) {
    if (count < 0) throw usage(`${given[0]?.by} is ${count}: it must be zero or more`);
  }
  return Math.max(0, ...counts);
}
