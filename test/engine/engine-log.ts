import type { Tensor } from "../../src/model/model.ts";

/** Where llama.cpp put a model, read from what it logged. */
export interface EnginePlacement {
  /** Of each block, the MTP ones included, and at last of the output head. */
  readonly layers: readonly Place[];
  /** The sizes of the `CPU_Mapped` buffers in MiB, as printed: one for each file with CPU tensors. */
  readonly mapped: readonly string[];
  /** For each tensor that a graph reads, all places it is read from: a tied embedding has two. */
  readonly tensors: ReadonlyMap<string, ReadonlySet<Place>>;
}

export type Place = "CPU" | "GPU";

/** `load_tensors: layer   0 assigned to device CPU, is_swa = 0` */
const LAYER = /load_tensors: layer +(\d+) assigned to device ([^,\s]+)/;
/** `load_tensors:   CPU_Mapped model buffer size =     0.83 MiB` */
const MAPPED = /load_tensors: +CPU_Mapped model buffer size = +([\d.]+) MiB/;
/** A tensor of a graph: `    blk.0.attn_q.weight (  44K) [Vulka         ]`. */
const NODE = /\s([a-z_0-9.]+)\s+\(\s*\d+[KMG]?\)\s+\[\s*(\S+)\s/g;
/** What it leaves of a name there. */
const NAME_LENGTH = 20;

/** Wants the debug level, and `GGML_SCHED_DEBUG=2` for the tensors. */
export function parseEngineLog(
  lines: readonly string[],
  tensors: readonly Tensor[],
): EnginePlacement {
  const byCutName = new Map(tensors.map(({ name }) => [name.slice(0, NAME_LENGTH), name]));
  if (byCutName.size < tensors.length) throw new Error("two tensors have one name in the log");

  const layers: Place[] = [];
  const mapped: string[] = [];
  const places = new Map<string, Set<Place>>();
  for (const line of lines) {
    const [, layer, device] = LAYER.exec(line) ?? [];
    if (layer !== undefined) layers[Number(layer)] = placeOf(device);
    const [, size] = MAPPED.exec(line) ?? [];
    if (size !== undefined) mapped.push(size);
    for (const [, cutName = "", backend] of line.matchAll(NODE)) {
      const name = byCutName.get(cutName);
      // Activations have names as well.
      if (name !== undefined)
        places.set(name, (places.get(name) ?? new Set()).add(placeOf(backend)));
    }
  }
  return { layers, mapped, tensors: places };
}

function placeOf(device: string | undefined): Place {
  return device === "CPU" ? "CPU" : "GPU";
}
