import { type ExpertName, parseExpertName } from "../model/expert-names.ts";
import type { Model, Tensor } from "../model/model.ts";

/** A tensor that holds several experts, one after the other, each in as many bytes. */
export interface Stack {
  readonly tensor: Tensor;
  readonly sliceBytes: number;
  /** Experts that read the same slice: 1, or more where groups of experts share one (chunks). */
  readonly readers: number;
}

/** The routed experts of one block. */
export interface RoutedLayer {
  /** Number of the block in the model; dense blocks have none of these. */
  readonly block: number;
  /** How many experts the router chooses from. */
  readonly experts: number;
  /** Elements of one expert, whatever the types and however they are divided among tensors. */
  readonly elements: number;
  /** Bytes of all experts, each counted once. */
  readonly byteLength: number;
  readonly stacks: readonly Stack[];
  /** Tensors that hold one expert each, by its number. */
  readonly singles: ReadonlyMap<number, readonly Tensor[]>;
}

/** A tensor of routed experts whose slices cannot be told, and why. */
export interface UnslicedTensor {
  readonly tensor: Tensor;
  readonly reason: string;
}

/** The largest models have 512 experts a block. */
export const MOST_EXPERTS = 65_536;

/**
 * Groups the tensors of routed experts by block.
 *
 * A stacked tensor holds its experts one after the other, each in `byteLength / experts` bytes. A
 * tensor for which that is no whole number is not guessed at.
 */
export function routedLayers({ tensors }: Pick<Model, "tensors">): {
  /** In the order of the blocks. */
  readonly layers: readonly RoutedLayer[];
  readonly unsliced: readonly UnslicedTensor[];
} {
  const blocks = new Map<number, NamedTensor[]>();
  for (const tensor of tensors) {
    const name = parseExpertName(tensor.name);
    if (name === undefined || tensor.byteLength === 0) continue;
    const known = blocks.get(name.block);
    if (known === undefined) blocks.set(name.block, [{ tensor, name }]);
    else known.push({ tensor, name });
  }
  const unsliced: UnslicedTensor[] = [];
  const layers = [...blocks]
    .sort(([a], [b]) => a - b)
    .map(([block, named]) => layerOf(block, named, unsliced))
    .filter(({ stacks, singles }) => stacks.length + singles.size > 0);
  return { layers, unsliced };
}

interface NamedTensor {
  readonly tensor: Tensor;
  readonly name: ExpertName;
}

function layerOf(
  block: number,
  named: readonly NamedTensor[],
  unsliced: UnslicedTensor[],
): RoutedLayer {
  const experts = named.reduce((most, each) => Math.max(most, expertsOf(each)), 0);
  const tensors: Tensor[] = [];
  const stacks: Stack[] = [];
  const singles = new Map<number, Tensor[]>();
  for (const { tensor, name } of named) {
    const reason = whyUnsliced({ tensor, name }, experts);
    if (reason !== undefined) {
      unsliced.push({ tensor, reason });
      continue;
    }
    tensors.push(tensor);
    if (name.expert === undefined) {
      const stacked = stackedIn({ tensor, name });
      stacks.push({ tensor, sliceBytes: tensor.byteLength / stacked, readers: experts / stacked });
    } else {
      const known = singles.get(name.expert);
      if (known === undefined) singles.set(name.expert, [tensor]);
      else known.push(tensor);
    }
  }
  const sum = (count: (tensor: Tensor) => number) =>
    tensors.reduce((total, tensor) => total + count(tensor), 0);
  const elements = sum(({ shape }) => shape.reduce((product, length) => product * length, 1));
  const byteLength = sum((tensor) => tensor.byteLength);
  return { block, experts, elements: elements / experts, byteLength, stacks, singles };
}

/** How many experts a tensor speaks for. Chunks are fewer than the experts that share them. */
function expertsOf({ tensor, name }: NamedTensor): number {
  if (name.expert !== undefined) return name.expert < MOST_EXPERTS ? name.expert + 1 : 0;
  const stacked = stackedIn({ tensor, name });
  return !name.isChunk && isCount(stacked) ? stacked : 0;
}

function stackedIn({ tensor, name }: NamedTensor): number {
  return (name.expertDimension === "first" ? tensor.shape[0] : tensor.shape.at(-1)) ?? 0;
}

function isCount(experts: number): boolean {
  return Number.isSafeInteger(experts) && experts >= 1 && experts <= MOST_EXPERTS;
}

function whyUnsliced({ tensor, name }: NamedTensor, experts: number): string | undefined {
  if (name.expert !== undefined) {
    return name.expert < MOST_EXPERTS ? undefined : `there is no expert ${name.expert}`;
  }
  const stacked = stackedIn({ tensor, name });
  if (tensor.shape.length < 3 || !isCount(stacked)) {
    return `its shape [${tensor.shape.join(", ")}] does not tell how many experts it has`;
  }
  if (tensor.byteLength % stacked !== 0) {
    return `its ${tensor.byteLength} bytes are no multiple of its ${stacked} experts`;
  }
  const fits = name.isChunk ? experts > 0 && experts % stacked === 0 : stacked === experts;
  return fits ? undefined : `it has ${stacked} experts where the block has ${experts}`;
}
