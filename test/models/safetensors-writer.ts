import { writeFile } from "node:fs/promises";
import { basename } from "node:path";
import type { Tensor } from "../../src/model/model.ts";
import { tensorByteLength } from "./dtype.ts";
import {
  type Contents,
  intoShards,
  type PlacedTensor,
  shardPath,
  writeModelFile,
} from "./file-writer.ts";
import type { TensorSpec } from "./tensor-spec.ts";

/** A safetensors tensor keeps its dimensions slowest first, the other way round from GGUF. */
export type SafetensorsSpec = TensorSpec & { readonly dtype: "F32" | "F16" | "BF16" };

export interface SafetensorsOptions {
  /** Ends in `.safetensors`. With more than one shard, `-00001-of-0000N` goes in front of that. */
  readonly path: string;
  readonly tensors: readonly SafetensorsSpec[];
  readonly shards: number;
  readonly seed: number;
  readonly contents: Contents;
}

export interface WrittenSafetensors {
  /** The weight files, in shard order. */
  readonly paths: readonly string[];
  /** The `.safetensors.index.json` of a sharded model. */
  readonly indexPath?: string;
  readonly tensors: readonly Tensor[];
}

export async function writeSafetensors(options: SafetensorsOptions): Promise<WrittenSafetensors> {
  const { path, seed, contents } = options;
  if (!path.endsWith(".safetensors"))
    throw new RangeError(`a safetensors file's name ends so, got ${path}`);
  const groups = intoShards(options.tensors, options.shards, (spec) =>
    tensorByteLength(spec.dtype, spec.shape),
  );
  const paths: string[] = [];
  const tensors: Tensor[] = [];
  for (const [index, group] of groups.entries()) {
    const file = groups.length > 1 ? shardPath(path, ".safetensors", index, groups.length) : path;
    const { header, placed } = layOut(group);
    await writeModelFile(file, header, placed, { seed, contents });
    paths.push(file);
    for (const { spec, offset, byteLength } of placed) {
      tensors.push({
        name: spec.name,
        file: index,
        offset,
        byteLength,
        dtype: spec.dtype,
        shape: spec.shape,
      });
    }
  }
  if (groups.length === 1) return { paths, tensors };

  const indexPath = `${path}.index.json`;
  const index = {
    metadata: { total_size: tensors.reduce((sum, { byteLength }) => sum + byteLength, 0) },
    weight_map: Object.fromEntries(
      tensors.map(({ name, file }) => [name, basename(paths[file] ?? "")]),
    ),
  };
  await writeFile(indexPath, `${JSON.stringify(index, null, 2)}\n`);
  return { paths, indexPath, tensors };
}

/** u64 length, JSON of that length, data without gaps: https://github.com/huggingface/safetensors#format */
function layOut(specs: readonly SafetensorsSpec[]): { header: Uint8Array; placed: PlacedTensor[] } {
  const entries: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let end = 0;
  const relative = specs.map((spec) => {
    const byteLength = tensorByteLength(spec.dtype, spec.shape);
    const offset = end;
    end += byteLength;
    entries[spec.name] = { dtype: spec.dtype, shape: spec.shape, data_offsets: [offset, end] };
    return { spec, offset, byteLength };
  });

  const json = new TextEncoder().encode(JSON.stringify(entries));
  const padded = Math.ceil(json.byteLength / 8) * 8; // the reference writer pads with spaces to align the data
  const header = new Uint8Array(8 + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(json, 8);
  return {
    header,
    placed: relative.map((tensor) => ({ ...tensor, offset: tensor.offset + header.byteLength })),
  };
}
