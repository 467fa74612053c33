import { type LlamaPlacement, parseOverrides, type TensorOverride } from "../passes/index.ts";
import type { EngineName } from "./engines.ts";
import type { OptionName } from "./options.ts";
import { type Given, parseWhole, usage } from "./read-options.ts";
import type { Settings } from "./settings.ts";

/** Layers on the GPU as a line says it. */
export type LayerCount =
  | { readonly kind: "known"; readonly layers: number }
  /** Decided by the free VRAM while the engine loads: it was asked for in words. */
  | { readonly kind: "auto"; readonly by: string }
  /** Nothing was said. */
  | { readonly kind: "open" };

/** What a line says about where one model goes. */
export interface LinePlacement {
  readonly layers: LayerCount;
  /** Without `gpuLayers`. */
  readonly placement: LlamaPlacement;
  readonly notes: readonly string[];
}

/** The options of the model itself, or of the draft model beside it. */
interface Names {
  readonly gpuLayers: OptionName;
  readonly overrideTensor: OptionName;
  readonly cpuMoe: OptionName;
  readonly nCpuMoe: OptionName;
  readonly nCpuFfn: OptionName | undefined;
}

const MODEL: Names = {
  gpuLayers: "gpuLayers",
  overrideTensor: "overrideTensor",
  cpuMoe: "cpuMoe",
  nCpuMoe: "nCpuMoe",
  nCpuFfn: "nCpuFfn",
};
const DRAFT: Names = {
  gpuLayers: "draftGpuLayers",
  overrideTensor: "draftOverrideTensor",
  cpuMoe: "draftCpuMoe",
  nCpuMoe: "draftNCpuMoe",
  nCpuFfn: undefined,
};

/** All layers, as {@link LlamaPlacement.gpuLayers} has it. */
const ALL = -1;

/** Where the model goes. @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` */
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

/** Where the draft model goes: its device is the model's, unless it has one of its own. */
export function placementOfDraft(engine: EngineName, settings: Settings): LinePlacement {
  const device: OptionName = settings.has("draftDevice") ? "draftDevice" : "device";
  const isCpuOnly = isWithoutGpu(settings, device);
  const { placement, notes } = placementBy(engine, settings, DRAFT, isCpuOnly);
  if (isCpuOnly) return { layers: known(0), placement, notes };
  const given = settings.last("draftGpuLayers");
  // koboldcpp puts it all on the GPU unless told otherwise.
  if (given === undefined && engine === "koboldcpp")
    return { layers: known(ALL), placement, notes };
  const layers = given === undefined ? ({ kind: "open" } as const) : mainlineLayers(given);
  return { layers, placement, notes };
}

export function hasOverrides(placement: LlamaPlacement): boolean {
  const { overrides = [], lateOverrides = [], cpuMoe, nCpuMoe = 0, nCpuFfn = 0 } = placement;
  const count = overrides.length + lateOverrides.length + nCpuMoe + nCpuFfn;
  return count > 0 || cpuMoe === true;
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
 * The overrides of all sources, the strongest source first: llama.cpp adds them up. Those that stand
 * behind `--cpu-moe` and its like are weaker than it.
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

/** Given several times llama.cpp adds up what each means, and llama-bench runs them in turn. */
function mostOf(given: readonly Given[], engine: EngineName): number {
  const counts = given.flatMap((each) =>
    engine === "llama-bench" ? benchNumbers(each) : [parseWhole(each)],
  );
  for (const count of counts) {
    if (count < 0) throw usage(`${given[0]?.by} is ${count}: it must be zero or more`);
  }
  return Math.max(0, ...counts);
}

function layersOf(engine: EngineName, settings: Settings, isOverridden: boolean): LayerCount {
  const given = settings.last("gpuLayers");
  switch (engine) {
    case "llama-bench":
      return benchLayers(settings.all("gpuLayers"));
    case "llama-cpp-python":
      // Its default is 0, and every negative number is all.
      return known(given === undefined ? 0 : negativeIsAll(parseWhole(given)));
    case "koboldcpp":
      if (settings.isOn("fit") === true) {
        return { kind: "auto", by: settings.last("fit")?.by ?? "--autofit" };
      }
      if (given === undefined) return { kind: "open" };
      return parseWhole(given) < 0
        ? { kind: "auto", by: `${given.by} ${given.value}` }
        : known(parseWhole(given));
    case "ik_llama.cpp":
      if (settings.isOn("fit") === true) {
        return { kind: "auto", by: settings.last("fit")?.by ?? "--fit" };
      }
      // Negative means its default, which is none.
      return known(given === undefined ? 0 : Math.max(parseWhole(given), 0));
    case "llama-run":
      return given === undefined ? known(0) : mainlineLayers(given);
    default:
      return llamaLayers(given, settings, isOverridden);
  }
}

/**
 * llama.cpp of late 2026: without `-ngl`, `auto` and -1 the layers are fitted to the free memory; but
 * not with `-fit off`, nor beside any override of the user's, and then every layer is on the GPU.
 */
function llamaLayers(
  given: Given | undefined,
  settings: Settings,
  isOverridden: boolean,
): LayerCount {
  const isFitOff = settings.isOn("fit") === false;
  if (given === undefined) return isFitOff ? known(ALL) : { kind: "open" };
  const layers = mainlineLayers(given);
  return layers.kind === "auto" && (isFitOff || isOverridden) ? known(ALL) : layers;
}

function mainlineLayers(given: Given): LayerCount {
  const { value, by } = given;
  if (value === "all") return known(ALL);
  if (value === "auto") return { kind: "auto", by: `${by} ${value}` };
  const layers = parseWhole(given);
  return layers === -1 ? { kind: "auto", by: `${by} ${value}` } : known(negativeIsAll(layers));
}

/** Without a fit target llama-bench loads all layers for -1; of several runs the smallest counts. */
function benchLayers(given: readonly Given[]): LayerCount {
  const counts = given
    .flatMap(benchNumbers)
    .map((count) => (count < 0 ? Number.MAX_SAFE_INTEGER : count));
  return known(counts.length === 0 ? ALL : Math.min(...counts));
}

/** `0,10,20`, `0-20+10` or `1-8*2`: where a range ends or begins is all that counts. */
function benchNumbers({ value, by }: Given): number[] {
  return value.split(",").flatMap((each) => {
    const range = /^(\d+)-(\d+)(?:[+*]\d+)?$/.exec(each);
    if (range !== null) return [Number(range[1]), Number(range[2])];
    if (each === "auto" || each === "all") return [ALL];
    return [parseWhole({ value: each, by, at: 0 })];
  });
}

function known(layers: number): LayerCount {
  return { kind: "known", layers };
}

function negativeIsAll(layers: number): number {
  return layers < 0 ? ALL : layers;
}
