import { invalidOption } from "../placement.ts";
import type { LlamaPlacement } from "./placement.ts";

/** The fields of node-llama-cpp's `LlamaModelOptions`, or of a loaded `LlamaModel`, that matter. */
export interface NodeLlamaCppModel {
  /** @defaultValue `"auto"`, as in node-llama-cpp */
  readonly gpuLayers?:
    | number
    | "auto"
    | "max"
    | { readonly min?: number; readonly max?: number; readonly fitContext?: object };
  readonly modelPath?: string;
  readonly useMmap?: boolean | "auto";
  readonly useDirectIo?: boolean;
  /** Weights are copied into locked memory, also with direct I/O or mmap. */
  readonly useMlock?: boolean;
  /**
   * Whether tables of which a token reads a few rows are read by rows. Not every loaded model shows it.
   * @defaultValue `false`, as in node-llama-cpp: it reads such a table as a whole
   */
  readonly lazyMode?: boolean | "auto" | "on" | "off";
}

/** A placement for `--engine llama.cpp`, or the reason why there is none yet. */
export type NodeLlamaCppPlacement =
  | {
      readonly known: true;
      readonly placement: LlamaPlacement;
      /** The model file, when the options name it. */
      readonly modelPath: string | undefined;
      readonly notes: readonly string[];
    }
  | { readonly known: false; readonly reason: string; readonly modelPath: string | undefined };

/**
 * The placement of a model that node-llama-cpp loads or has loaded. It passes its number of layers on to
 * llama.cpp and has no tensor overrides, so the placement follows from that number.
 *
 * Before the load `"auto"` and ranges are undecided. Call it again with the loaded model, whose `gpuLayers`
 * is a number.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` for a number that is not whole.
 */
export function placementOfNodeLlamaCpp(model: NodeLlamaCppModel): NodeLlamaCppPlacement {
  const { modelPath } = model;
  const gpuLayers = decided(model.gpuLayers ?? "auto");
  if (gpuLayers === undefined) {
    const reason = "node-llama-cpp decides gpuLayers while it loads: ask with the loaded model";
    return { known: false, reason, modelPath };
  }
  const { lazyMode = false } = model;
  const readsWhole = lazyMode === false || lazyMode === "off";
  const placement: LlamaPlacement = { gpuLayers, ...(readsWhole && { lazyTables: "include" }) };
  return { known: true, placement, modelPath, notes: copyNotes(model) };
}

function decided(gpuLayers: NonNullable<NodeLlamaCppModel["gpuLayers"]>): number | undefined {
  if (gpuLayers === "auto") return undefined;
  if (gpuLayers === "max") return -1;
  if (typeof gpuLayers === "object") {
    const { min, max } = gpuLayers;
    return min !== undefined && min === max ? checked(min) : max === 0 ? 0 : undefined;
  }
  return checked(gpuLayers);
}

function checked(gpuLayers: number): number {
  if (Number.isSafeInteger(gpuLayers) && gpuLayers >= 0) return gpuLayers;
  throw invalidOption("gpuLayers", gpuLayers, "it must be a whole number, zero or more");
}

function copyNotes({ useMmap, useDirectIo, useMlock }: NodeLlamaCppModel): string[] {
  if (useMlock === true) {
    return ["useMlock copies the weights into locked memory: a sweep helps the load only"];
  }
  if (useDirectIo === true) return ["useDirectIo bypasses the page cache: a sweep does not help"];
  if (useMmap === false)
    return ["useMmap is false: weights are copied, a sweep helps the load only"];
  return [];
}
