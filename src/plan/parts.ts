import type { FileRegion } from "./region.ts";

/** A part of a target that a caller can wait for: a layer, or a tensor outside all layers. */
export interface Part {
  /** Such as `blk.0`, `token_embd`, or a file's path where no tensor is named. */
  readonly name: string;
  readonly regions: readonly FileRegion[];
}

/** `blk.3.attn_q.weight` (GGUF), `model.layers.3.mlp.up_proj.weight` (safetensors). */
const LAYER = /^(?:.*\.)?(?:blk|layers|h)\.(\d+)\./;

/** Tensors that are read before the first layer. All others outside a layer are read after the last. */
const INPUT = /embd|embed|wte|wpe|token_types/;

/**
 * Groups regions into parts, in the order in which inference reads them: the input tensors, the layers,
 * and the output tensors.
 */
export function partsOf(regions: readonly FileRegion[]): Part[] {
  const parts = new Map<string, FileRegion[]>();
  for (const region of regions) {
    const name = partName(region);
    const part = parts.get(name);
    if (part === undefined) parts.set(name, [region]);
    else part.push(region);
  }
  return [...parts]
    .map(([name, members]) => ({ name, regions: members }))
    .sort((a, b) => rank(a.name) - rank(b.name));
}

function partName({ tensor, path }: FileRegion): string {
  if (tensor === undefined) return path;
  const layer = LAYER.exec(tensor)?.[1];
  return layer === undefined ? tensor.replace(/\.(weight|bias)$/, "") : layerName(Number(layer));
}

/** The name of a layer's part, as GGUF writes it. */
export function layerName(layer: number): string {
  return `blk.${layer}`;
}

function rank(name: string): number {
  const layer = /^blk\.(\d+)$/.exec(name)?.[1];
  if (layer !== undefined) return Number(layer);
  return INPUT.test(name) ? -1 : Number.MAX_SAFE_INTEGER;
}
