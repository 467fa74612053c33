import { PrefaultError } from "../errors.ts";
import type { Model, Tensor } from "../model/model.ts";
import {
  type RoutedLayer,
  type RoutedTensor,
  routedLayers,
  type UnslicedTensor,
} from "./routed-layers.ts";

/** The consecutive bytes that one tensor holds of one expert. */
export interface ExpertSlice {
  readonly tensor: string;
  /** Index into the model's files. */
  readonly file: number;
  /** Bytes from the start of the file. Aligned as tensors are, not to pages. */
  readonly offset: number;
  readonly byteLength: number;
  /** Several experts read it (chunks), and it is the same object in each of them. */
  readonly isShared: boolean;
}

/** One expert of one block: what is filled together, or not at all. */
export interface ExpertUnit {
  readonly block: number;
  readonly expert: number;
  /** Bytes of all its slices. */
  readonly byteLength: number;
  readonly slices: readonly ExpertSlice[];
}

/** The routed experts of one block, sliced. */
export interface ExpertLayer extends RoutedLayer {
  /** In the order of the experts; those of which no tensor was given are left out. */
  readonly units: readonly ExpertUnit[];
}

export interface ExpertTensors {
  /** In the order of the blocks. */
  readonly layers: readonly ExpertLayer[];
  /**
   * Tensors of routed experts whose slices cannot be told. Every token reads some of each, and nobody
   * can say which part: they belong to the core.
   */
  readonly unsliced: readonly UnslicedTensor[];
}

/** Three times what the largest models have: about 100 blocks of 512 experts. */
const MOST_SLICES = 500_000;

/**
 * Finds the slices of every routed expert.
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
  if (slices > MOST_SLICES) {
    throw new PrefaultError(
      "PREFAULT_INVALID_MODEL",
      `the model claims ${slices} slices of experts, and none has more than ${MOST_SLICES}`,
    );
  }
  return { layers: layers.map((layer) => ({ ...layer, units: unitsOf(layer) })), unsliced };
}

function slicesIn({ experts, tensors }: RoutedLayer): number {
  return tensors.reduce((sum, { expert }) => sum + (expert === undefined ? experts : 1), 0);
}

function unitsOf({ block, experts, tensors }: RoutedLayer): ExpertUnit[] {
  const stacks = tensors.filter(({ expert }) => expert === undefined).map(stackOf);
  const singles = new Map<number, ExpertSlice[]>();
  for (const { tensor, expert } of tensors) {
    if (expert === undefined) continue;
    const { name, file, offset, byteLength } = tensor;
    const slice = { tensor: name, file, offset, byteLength, isShared: false };
    singles.set(expert, [...(singles.get(expert) ?? []), slice]);
  }
  const numbers =
    stacks.length > 0
      ? Array.from({ length: experts }, (_, expert) => expert)
      : [...singles.keys()].sort((a, b) => a - b);
  return numbers.map((expert) => {
    const stacked = stacks.map((stack) => stack(expert));
    const slices = stacked.concat(singles.get(expert) ?? []);
    const byteLength = slices.reduce((sum, slice) => sum + slice.byteLength, 0);
    return { block, expert, byteLength, slices };
  });

  /** The slices of a stacked tensor, by the expert that reads them. */
  function stackOf({ tensor, stacked }: RoutedTensor): (expert: number) => ExpertSlice {
    const { name, file, offset: start } = tensor;
    const byteLength = tensor.byteLength / stacked;
    const readers = experts / stacked;
    const sliceAt = (index: number): ExpertSlice => {
      const offset = start + index * byteLength;
      return { tensor: name, file, offset, byteLength, isShared: readers > 1 };
    };
    if (readers === 1) return sliceAt;
    const shared = Array.from({ length: stacked }, (_, index) => sliceAt(index));
    return (expert) => shared[Math.floor(expert / readers)] ?? sliceAt(0);
  }
}
