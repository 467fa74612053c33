import { open } from "node:fs/promises";
import { type Metadata, string, strings, u32 } from "./gguf-metadata.ts";
import { type WrittenModel, writeGguf } from "./gguf-writer.ts";
import { type TensorSpec, weight } from "./tensor-spec.ts";

/** How often each matrix of one weight was used, as `llama-imatrix` counts it. */
export interface CountedTensor {
  /** Such as `blk.0.ffn_gate_exps.weight`. */
  readonly name: string;
  /** Length of the weight's rows. */
  readonly inputs: number;
  /** One for a dense weight, one for each expert of a stacked one. */
  readonly counts: readonly number[];
}

export interface ImatrixOptions {
  /** Ends in `.gguf`; to be renamed for another suffix. */
  readonly path: string;
  readonly tensors: readonly CountedTensor[];
  /** @defaultValue `10` */
  readonly chunks?: number;
  /** @defaultValue `512` */
  readonly chunkSize?: number;
  /** In place of those that `llama-imatrix` writes. */
  readonly metadata?: Metadata;
  /** Leaves holes in place of the sums. @defaultValue `true` */
  readonly hole?: boolean;
}

/**
 * Writes an imatrix in the published layout: `general.type`, `imatrix.*`, and for each weight, in the
 * order of the names, `<tensor>.in_sum2` of F32 [inputs, matrices] and `<tensor>.counts` of F32 [1, matrices].
 */
export async function writeImatrix(options: ImatrixOptions): Promise<WrittenModel> {
  const { path, chunks = 10, chunkSize = 512, hole = true } = options;
  const counted = [...options.tensors].sort((a, b) => (a.name < b.name ? -1 : 1));
  const specs: TensorSpec[] = counted.flatMap(({ name, inputs, counts }) => [
    weight(`${name}.in_sum2`, "F32", inputs, counts.length),
    weight(`${name}.counts`, "F32", 1, counts.length),
  ]);
  const written = await writeGguf({
    path,
    metadata: options.metadata ?? {
      "general.type": string("imatrix"),
      "imatrix.datasets": strings(["calibration.txt"]),
      "imatrix.chunk_count": u32(chunks),
      "imatrix.chunk_size": u32(chunkSize),
    },
    tensors: specs,
    shards: 1,
    metadataShard: false,
    seed: 1,
    contents: hole ? "hole" : "random",
  });
  const offsets = new Map(written.tensors.map(({ name, offset }) => [name, offset]));
  const file = await open(path, "r+");
  try {
    for (const { name, counts } of counted) {
      const bytes = new Uint8Array(Float32Array.from(counts).buffer);
      await file.write(bytes, 0, bytes.length, offsets.get(`${name}.counts`));
    }
  } finally {
    await file.close();
  }
  return written;
}

/** The old format: int32 entries; for each int32 length, name, int32 calls, int32 values, floats. */
export function oldImatrix(names: readonly string[], values = 4): Buffer {
  const int32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    return bytes;
  };
  return Buffer.concat([
    int32(names.length),
    ...names.flatMap((name) => [
      int32(name.length),
      Buffer.from(name, "latin1"),
      int32(7),
      int32(values),
      Buffer.alloc(4 * values, 1),
    ]),
    int32(7),
    int32(15),
    Buffer.from("calibration.txt"),
  ]);
}
