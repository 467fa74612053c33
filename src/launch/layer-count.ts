import type { EngineName } from "./engines.ts";
import { type Given, parseWhole } from "./given.ts";
import type { Settings } from "./settings.ts";

/** The number of layers on the GPU that a command line gives. */
export type LayerCount =
  | { readonly kind: "known"; readonly layers: number }
  /** The line asks for it: the engine decides by the free VRAM while it loads. */
  | { readonly kind: "auto"; readonly by: string }
  /** The line gives nothing. */
  | { readonly kind: "open" };

/** All layers, as {@link LlamaPlacement.gpuLayers} has it. */
export const ALL = -1;

/**
 * Reads how many layers an engine puts on the GPU, by the rules of that engine.
 *
 * @param isOverridden whether the line also places tensors by hand
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION`
 */
export function layersOf(
  engine: EngineName,
  settings: Settings,
  isOverridden: boolean,
): LayerCount {
  const given = settings.last("gpuLayers");
  switch (engine) {
    case "llama-bench":
      return benchLayers(settings.all("gpuLayers"));
    case "llama-cpp-python":
      // The default is 0, and every negative number means all.
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
      // A negative number means the default, which is 0.
      return known(given === undefined ? 0 : Math.max(parseWhole(given), 0));
    case "llama-run":
      return given === undefined ? known(0) : mainlineLayers(given);
    default:
      return llamaLayers(given, settings, isOverridden);
  }
}

/**
 * llama.cpp of late 2026: without `-ngl`, `auto` and -1 the layers are fitted to the free memory; not
 * so with `-fit off` or with overrides of the user: then every layer is on the GPU.
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

/** The value of `-ngl` as llama.cpp reads it. */
export function mainlineLayers(given: Given): LayerCount {
  const { value, by } = given;
  if (value === "all") return known(ALL);
  if (value === "auto") return { kind: "auto", by: `${by} ${value}` };
  const layers = parseWhole(given);
  return layers === -1 ? { kind: "auto", by: `${by} ${value}` } : known(negativeIsAll(layers));
}

/** Without a fit target llama-bench loads all layers for -1. Of several runs the smallest number counts. */
function benchLayers(given: readonly Given[]): LayerCount {
  const counts = given
    .flatMap(benchNumbers)
    .map((count) => (count < 0 ? Number.MAX_SAFE_INTEGER : count));
  return known(counts.length === 0 ? ALL : Math.min(...counts));
}

export function known(layers: number): LayerCount {
  return { kind: "known", layers };
}

function negativeIsAll(layers: number): number {
  return layers < 0 ? ALL : layers;
}

/** `0,10,20`, `0-20+10` or `1-8*2`: only both ends of a range count. */
export function benchNumbers({ value, by }: Given): number[] {
  return value.split(",").flatMap((each) => {
    const range = /^(\d+)-(\d+)(?:[+*]\d+)?$/.exec(each);
    if (range !== null) return [Number(range[1]), Number(range[2])];
    if (each === "auto" || each === "all") return [ALL];
    return [parseWhole({ value: each, by, at: 0 })];
  });
}
