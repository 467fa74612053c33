import { PrefaultError } from "../errors.ts";
import type { Model, Tensor } from "../model/model.ts";
import { type RoutedLayer, routedLayers, type UnslicedTensor } from "./routed-layers.ts";

/** The consecutive bytes that one tensor holds of one expert. */
export interface ExpertSlice {
  readonly tensor: string;
  /** Index into the model's files. */
  readonly file: number;
  /** Bytes from the start of the file. Aligned as tensors are, not to pages. */
  readonly offset: number;
  readonly byteLength: number;
  /** Several experts read it (chunks). */
  readonly isShared: boolean;
}

/** One expert of one block: what is filled together, or not at all. */
export interface ExpertUnit {
  readonly layer: RoutedLayer;
  readonly expert: number;
}

export interface ExpertTensors {
  /** In the order of the blocks. */
  readonly layers: readonly RoutedLayer[];
  /**
   * Tensors of routed experts whose slices cannot be told. Every token reads some of each, and nobody
   * can say which part: they belong to the core.
   */
  readonly unsliced: readonly UnslicedTensor[];
}

/** Three times what the largest models have: about 100 blocks of 512 experts. */
const MOST_SLICES = 500_000;

/**
 * Finds the routed experts, of which {@link slicesOfExpert} and {@link forEachSlice} tell the bytes.
 *
 * @param tensors - of the model, those to look at: what stays on the CPU.
 *   @defaultValue all of the model
 * @throws {@link PrefaultError} `PREFAULT_INVALID_MODEL` for more experts than a model can have
 */
export function expertSlices(
  model: Pick<Model, "tensors">,
  tensors: readonly Tensor[] = model.tensors,
): ExpertTensors {
  const { layers, unsliced } = routedLayers({ tensors });
  const slices = layers.reduce((sum, layer) => sum + slicesIn(layer), 0);
  if (slices <= MOST_SLICES) return { layers, unsliced };
  throw new PrefaultError(
    "PREFAULT_INVALID_MODEL",
    `the model claims ${slices} slices of experts, and none has more than ${MOST_SLICES}`,
  );
}

function slicesIn({ experts, stacks, singles }: RoutedLayer): number {
  return experts * stacks.length + singles.size;
}

/** The experts of a layer of which there are tensors, in order. All, but for broken models. */
export function expertNumbers({ experts, stacks, singles }: RoutedLayer): number[] {
  if (stacks.length > 0) return Array.from({ length: experts }, (_, expert) => expert);
  return [...singles.keys()].sort((a, b) => a - b);
}

const NO_TENSORS: readonly Tensor[] = [];

/** Calls back with each slice of an expert. Makes no objects: large models have 150,000 slices. */
export function forEachSlice(
  { stacks, singles }: RoutedLayer,
  expert: number,
  visit: (tensor: Tensor, offset: number, byteLength: number, isShared: boolean) => void,
): void {
  for (const { tensor, sliceBytes, readers } of stacks) {
    const offset = tensor.offset + Math.floor(expert / readers) * sliceBytes;
    visit(tensor, offset, sliceBytes, readers > 1);
  }
  for (const tensor of singles.get(expert) ?? NO_TENSORS) {
    visit(tensor, tensor.offset, tensor.byteLength, false);
  }
}

/** Gate, up and down of one expert, or what its block has in their place. */
export function slicesOfExpert({ layer, expert }: ExpertUnit): ExpertSlice[] {
  const slices: ExpertSlice[] = [];
  forEachSlice(layer, expert, ({ name: tensor, file }, offset, byteLength, isShared) => {
    slices.push({ tensor, file, offset, byteLength, isShared });
  });
  return slices;
}
