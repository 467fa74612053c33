import type { Model } from "prefault";

export interface Slice {
  readonly file: number;
  readonly offset: number;
  readonly byteLength: number;
}

/** A layer of routed experts. Each expert has a slice of gate, one of up, one of down. */
export interface ExpertLayer {
  readonly layer: number;
  readonly experts: readonly (readonly Slice[])[];
}

const STACKED = /^blk\.(\d+)\.ffn_(gate|up|down|gate_up)_exps\.weight$/;

/** Where the experts of a GGUF model lie, by layers and experts; and everything else. */
export function expertSlices(model: Model): { layers: ExpertLayer[]; core: Slice[] } {
  const layers = new Map<number, Slice[][]>();
  const core: Slice[] = [];
  for (const { name, file, offset, byteLength, shape } of model.tensors) {
    const layer = STACKED.exec(name)?.[1];
    if (layer === undefined) {
      core.push({ file, offset, byteLength });
      continue;
    }
    const count = shape.at(-1) ?? 1;
    const length = byteLength / count;
    const experts = layers.get(Number(layer)) ?? Array.from({ length: count }, () => []);
    experts.forEach((slices, expert) => {
      slices.push({ file, offset: offset + expert * length, byteLength: length });
    });
    layers.set(Number(layer), experts);
  }
  return {
    layers: [...layers].sort(([a], [b]) => a - b).map(([layer, experts]) => ({ layer, experts })),
    core,
  };
}
