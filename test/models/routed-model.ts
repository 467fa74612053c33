import { open } from "node:fs/promises";
import type { Tensor } from "../../src/model/model.ts";
import { metadataOf, tensorsOf } from "./architecture.ts";
import type { Dtype } from "./dtype.ts";
import { type WrittenModel, writeGguf } from "./gguf-writer.ts";
import { defaultShape, fitToTarget, type ModelShape } from "./model-shape.ts";
import { routerRows, signedData } from "./routed-data.ts";
import { tensorData } from "./tensor-data.ts";
import { type TensorSpec, totalByteLength } from "./tensor-spec.ts";

export interface RoutedModelOptions extends Partial<ModelShape> {
  /** Ends in `.gguf`; its folder exists. */
  readonly path: string;
  /** Bytes of tensor data to come close to, by widening the experts. */
  readonly targetBytes?: number;
  /**
   * How unequal a router's rows are. What llama.cpp read (`bench/routing.ts`): with 0.5, 71 % of the
   * selections of 48 tokens on a quarter of each layer's experts (63 % on the quarter that other prompts
   * foretell), and 16 % of a token's experts used by the token before. With 0, of 120 tokens: 39 %
   * (27 %) and 7 %.
   *
   * @defaultValue `0.5`: as real models, of whose selections a quarter gets 60 to 80 %
   */
  readonly routerSkew?: number;
  /** Same seed and options, same bytes. @defaultValue `1` */
  readonly seed?: number;
  /** @defaultValue `1` */
  readonly shards?: number;
}

/**
 * How large the weights are, as powers of two of 0.02. A token's own embedding must outweigh what the
 * layers add to it: attention averages over the whole context, so where it weighs much, every token
 * looks like the one before and is sent to the same experts.
 */
const EXPONENTS: readonly (readonly [RegExp, number])[] = [
  [/^token_embd\./, 4],
  [/\.attn_output\./, -2],
];

/** A Qwen3 mixture of experts of 27 layers, of whose 128 experts a token uses 8. About 5.3 GiB. */
export const LARGE: Partial<ModelShape> = { layers: 27, experts: 128, expertsUsed: 8 };

/** The same share of its experts a token in a quarter of the bytes. Slices are as long. About 1.3 GiB. */
export const SMALL: Partial<ModelShape> = { layers: 14, experts: 64, expertsUsed: 4 };

/** Writes a mixture of experts that llama.cpp loads, and that chooses its experts as real ones do. */
export async function writeRoutedModel(options: RoutedModelOptions): Promise<WrittenModel> {
  const { path, targetBytes, routerSkew = 0.5, seed = 1, shards = 1, ...given } = options;
  const wanted: ModelShape = { ...defaultShape("moe"), ...ROUTED, ...LARGE, ...given };
  const shape =
    targetBytes === undefined
      ? wanted
      : fitToTarget("moe", wanted, targetBytes, (each) => totalByteLength(tensorsOf("moe", each)));
  const specs = tensorsOf("moe", shape);
  const written = await writeGguf({
    path,
    metadata: metadataOf("moe", shape),
    tensors: specs,
    shards,
    metadataShard: false,
    seed,
    contents: "hole",
  });
  const specOf = new Map(specs.map((spec) => [spec.name, spec]));
  for (const [index, file] of written.paths.entries()) {
    const tensors = written.tensors.filter((tensor) => tensor.file === index);
    await fill(file, tensors, (tensor) => {
      const spec = specOf.get(tensor.name);
      if (spec === undefined) throw new RangeError(`no tensor ${tensor.name}`);
      return contentsOf(spec, tensor.byteLength, routerSkew, seed);
    });
  }
  return written;
}

/**
 * Q5_0 stays mapped on every x86. The vocabulary is mostly tokens that no text has: a generation
 * samples them all the same, and each is sent to experts of its own.
 */
const ROUTED = {
  hidden: 1024,
  expertFeedForward: 768,
  vocabulary: 4096,
  weightDtype: "Q5_0" as Dtype,
  expertDtype: "Q5_0" as Dtype,
  embeddingDtype: "Q5_0" as Dtype,
};

function contentsOf(
  spec: TensorSpec,
  byteLength: number,
  routerSkew: number,
  seed: number,
): Iterable<Uint8Array> {
  if (spec.name.endsWith(".ffn_gate_inp.weight")) return [routerRows(spec, routerSkew, seed)];
  if (spec.dtype === "F32") return tensorData(spec, byteLength, seed);
  const exponent = EXPONENTS.find(([name]) => name.test(spec.name))?.[1] ?? 0;
  return signedData(spec, byteLength, exponent, seed);
}

/** Writes tensors to where they belong, and to the disk: what is not there yet cannot be evicted. */
async function fill(
  file: string,
  tensors: readonly Tensor[],
  contents: (tensor: Tensor) => Iterable<Uint8Array>,
): Promise<void> {
  const handle = await open(file, "r+");
  try {
    for (const tensor of tensors) {
      let at = tensor.offset;
      for (const piece of contents(tensor)) {
        await handle.write(piece, 0, piece.byteLength, at);
        at += piece.byteLength;
      }
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}
