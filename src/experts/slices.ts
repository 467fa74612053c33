import { PrefaultError } from "../errors.ts";
import type { Model, Tensor } from "../model/model.ts";
import { type ExpertName, parseExpertName } from "./expert-names.ts";

/** The consecutive bytes that one tensor holds of one expert. */
export interface ExpertSlice {
  readonly tensor: string;
  /** Index into the model's files. */
  readonly file: number;
  /** Bytes from the start of the file. Aligned as tensors are, not to pages. */
  readonly offset: number;
  readonly byteLength: number;
}

/** One expert of one block: what is filled together, or not at all. */
export interface ExpertUnit {
  readonly block: number;
  readonly expert: number;
  /** Bytes of all its slices. */
  readonly byteLength: number;
  readonly slices: readonly ExpertSlice[];
}

/** The routed experts of one block. */
export interface ExpertLayer {
  /** Number of the block in the model; dense blocks have none of these. */
  readonly block: number;
  /** How many experts the router chooses from. */
  readonly experts: number;
  /** Elements of one expert, whatever the types and however they are divided among tensors. */
  readonly elements: number;
  /** Bytes of all experts, a slice that several share counted once. */
  readonly byteLength: number;
  /** In the order of the experts. */
  readonly units: readonly ExpertUnit[];
}

export interface ExpertTensors {
  /** In the order of the blocks. */
  readonly layers: readonly ExpertLayer[];
  /**
   * Tensors of routed experts whose slices cannot be told, with the reason. Every token reads some of
   * each, and nobody can say which part: they belong to the core.
   */
  readonly unsliced: readonly { readonly tensor: Tensor; readonly reason: string }[];
}

/** The largest models have 512 experts a block, and about 100 blocks. */
export const MOST_EXPERTS = 65_536;
const MOST_SLICES = 2_000_000;

/**
 * Finds the slices of every routed expert.
 *
 * A stacked tensor holds its experts one after the other, each in `byteLength / experts` bytes. A
 * tensor for which that is no whole number is not guessed at, see {@link ExpertTensors.unsliced}.
 *
 * @param tensors - of the model, those to look at: what stays on the CPU.
 *   @defaultValue all of the model
 * @throws {@link PrefaultError} `PREFAULT_INVALID_MODEL` for more experts than a model can have
 */
export function expertSlices(
  model: Pick<Model, "tensors">,
  tensors: readonly Tensor[] = model.tensors,
): ExpertTensors {
  const blocks = new Map<number, RoutedTensor[]>();
  for (const tensor of tensors) {
    const name = parseExpertName(tensor.name);
    if (name === undefined || tensor.byteLength === 0) continue;
    const known = blocks.get(name.block);
    if (known === undefined) blocks.set(name.block, [{ tensor, name }]);
    else known.push({ tensor, name });
  }
  const unsliced: { tensor: Tensor; reason: string }[] = [];
  const slicesLeft = { count: MOST_SLICES };
  const layers = [...blocks]
    .sort(([a], [b]) => a - b)
    .map(([block, routed]) => sliceLayer(block, routed, unsliced, slicesLeft))
    .filter(({ units }) => units.length > 0);
  return { layers, unsliced };
}

interface RoutedTensor {
  readonly tensor: Tensor;
  readonly name: ExpertName;
}

function sliceLayer(
  block: number,
  routed: readonly RoutedTensor[],
  unsliced: { tensor: Tensor; reason: string }[],
  slicesLeft: { count: number },
): ExpertLayer {
  const experts = routed.reduce((most, each) => Math.max(most, expertsOf(each)), 0);
  const slices = new Map<number, ExpertSlice[]>();
  let byteLength = 0;
  let elements = 0;
  const add = (expert: number, slice: ExpertSlice): void => {
    const known = slices.get(expert);
    if (known === undefined) slices.set(expert, [slice]);
    else known.push(slice);
  };
  for (const { tensor, name } of routed) {
    const reason = whyUnsliced({ tensor, name }, experts);
    if (reason !== undefined) {
      unsliced.push({ tensor, reason });
      continue;
    }
    slicesLeft.count -= name.expert === undefined ? experts : 1;
    if (slicesLeft.count < 0) throw tooMany(tensor);
    byteLength += tensor.byteLength;
    elements += tensor.shape.reduce((product, length) => product * length, 1) / experts;
    const { name: of, file } = tensor;
    if (name.expert !== undefined) {
      add(name.expert, { tensor: of, file, offset: tensor.offset, byteLength: tensor.byteLength });
      continue;
    }
    const stacked = stackedExperts({ tensor, name });
    const sliceBytes = tensor.byteLength / stacked;
    const sharing = experts / stacked;
    for (let slice = 0; slice < stacked; slice++) {
      const offset = tensor.offset + slice * sliceBytes;
      const shared = { tensor: of, file, offset, byteLength: sliceBytes };
      for (let one = 0; one < sharing; one++) add(slice * sharing + one, shared);
    }
  }
  const units = [...slices]
    .sort(([a], [b]) => a - b)
    .map(([expert, of]) => ({
      block,
      expert,
      byteLength: of.reduce((sum, slice) => sum + slice.byteLength, 0),
      slices: of,
    }));
  return { block, experts, elements, byteLength, units };
}

/** How many experts a tensor speaks for. Chunks are fewer than the experts that share them. */
function expertsOf({ tensor, name }: RoutedTensor): number {
  if (name.expert !== undefined) return name.expert < MOST_EXPERTS ? name.expert + 1 : 0;
  if (name.isChunk) return 0;
  const stacked = stackedExperts({ tensor, name });
  return isCount(stacked) ? stacked : 0;
}

function stackedExperts({ tensor, name }: RoutedTensor): number {
  return (name.expertDimension === "first" ? tensor.shape[0] : tensor.shape.at(-1)) ?? 0;
}

function isCount(experts: number): boolean {
  return Number.isSafeInteger(experts) && experts >= 1 && experts <= MOST_EXPERTS;
}

function whyUnsliced({ tensor, name }: RoutedTensor, experts: number): string | undefined {
  if (name.expert !== undefined) {
    return name.expert < MOST_EXPERTS ? undefined : `there is no expert ${name.expert}`;
  }
  const stacked = stackedExperts({ tensor, name });
  if (tensor.shape.length < 3 || !isCount(stacked)) {
    return `its shape [${tensor.shape.join(", ")}] does not tell how many experts it has`;
  }
  if (tensor.byteLength % stacked !== 0) {
    return `its ${tensor.byteLength} bytes are no multiple of its ${stacked} experts`;
  }
  const fits = name.isChunk ? experts > 0 && experts % stacked === 0 : stacked === experts;
  return fits ? undefined : `it has ${stacked} experts where the block has ${experts}`;
}

function tooMany({ name }: Tensor): PrefaultError {
  return new PrefaultError(
    "PREFAULT_INVALID_MODEL",
    `the model has more than ${MOST_SLICES} slices of experts, counted up to tensor ${name}`,
  );
}
