import { buildGgufHeader, type GGUFTypedMetadata, GGUFValueType } from "@huggingface/gguf";
import type { Tensor } from "../../src/model/model.ts";
import { ggmlTypeId, tensorByteLength } from "./dtype.ts";
import {
  type Contents,
  intoShards,
  type PlacedTensor,
  shardPath,
  writeModelFile,
} from "./file-writer.ts";
import { i32, type Metadata, u16 } from "./gguf-metadata.ts";
import type { TensorSpec } from "./tensor-spec.ts";

const ALIGNMENT = 32; // GGUF_DEFAULT_ALIGNMENT in ggml's gguf.h

export interface GgufOptions {
  /** Ends in `.gguf`. With more than one shard, `-00001-of-0000N` goes in front of that. */
  readonly path: string;
  readonly metadata: Metadata;
  readonly tensors: readonly TensorSpec[];
  readonly shards: number;
  /** The first shard holds metadata only, as `llama-gguf-split --no-tensor-first-split` writes it. */
  readonly metadataShard: boolean;
  readonly seed: number;
  readonly contents: Contents;
}

/** A written model: its files in shard order, and every tensor in file order, where it really lies. */
export interface WrittenModel {
  readonly paths: readonly string[];
  readonly tensors: readonly Tensor[];
}

export async function writeGguf(options: GgufOptions): Promise<WrittenModel> {
  const { path, metadata, tensors, seed, contents } = options;
  if (!path.endsWith(".gguf"))
    throw new RangeError(`a GGUF file's name ends in .gguf, got ${path}`);
  const groups = intoShards(tensors, options.shards, (spec) =>
    tensorByteLength(spec.dtype, spec.shape),
  );
  if (options.metadataShard) groups.unshift([]);

  const paths: string[] = [];
  const written: Tensor[] = [];
  for (const [index, group] of groups.entries()) {
    const isSplit = groups.length > 1;
    const file = isSplit ? shardPath(path, ".gguf", index, groups.length) : path;
    const { header, placed } = await layOut(
      {
        ...(index === 0 ? metadata : {}),
        ...(isSplit ? splitMetadata(index, groups.length, tensors.length) : {}),
      },
      group,
    );
    await writeModelFile(file, header, placed, { seed, contents });
    paths.push(file);
    for (const { spec, offset, byteLength } of placed) {
      written.push({
        name: spec.name,
        file: index,
        offset,
        byteLength,
        dtype: spec.dtype,
        shape: spec.shape,
      });
    }
  }
  return { paths, tensors: written };
}

/** The integer widths are those of `llama-gguf-split`; llama.cpp reads the keys with exactly these types. */
function splitMetadata(index: number, count: number, tensorCount: number): Metadata {
  return {
    "split.no": u16(index),
    "split.count": u16(count),
    "split.tensors.count": i32(tensorCount),
  };
}

async function layOut(
  metadata: Metadata,
  specs: readonly TensorSpec[],
): Promise<{ header: Uint8Array; placed: PlacedTensor[] }> {
  let end = 0;
  const relative = specs.map((spec) => {
    const offset = align(end);
    const byteLength = tensorByteLength(spec.dtype, spec.shape);
    end = offset + byteLength;
    return { spec, offset, byteLength };
  });

  const infos = tensorInfos(relative);
  const typed: GGUFTypedMetadata = {
    ...metadata,
    version: { value: 3, type: GGUFValueType.UINT32 },
    tensor_count: { value: BigInt(specs.length), type: GGUFValueType.UINT64 },
    kv_count: { value: BigInt(Object.keys(metadata).length), type: GGUFValueType.UINT64 },
  };
  // Meant for editing an existing file, whose tensor infos it copies; a blob of nothing but infos serves as well.
  const blob = await buildGgufHeader(new Blob([infos]), typed, {
    littleEndian: true,
    tensorInfoByteRange: [0, infos.byteLength],
    alignment: ALIGNMENT,
  });
  const header = new Uint8Array(await blob.arrayBuffer());
  return {
    header,
    placed: relative.map((tensor) => ({ ...tensor, offset: tensor.offset + header.byteLength })),
  };
}

/** The one section `@huggingface/gguf` reads but does not write. Offsets count from the start of the data. */
function tensorInfos(tensors: readonly PlacedTensor[]): Uint8Array<ArrayBuffer> {
  const names = tensors.map(({ spec }) => new TextEncoder().encode(spec.name));
  const size = tensors.reduce(
    (sum, { spec }, i) => sum + 8 + (names[i]?.byteLength ?? 0) + 4 + spec.shape.length * 8 + 12,
    0,
  );
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  const putU32 = (value: number): void => {
    view.setUint32(at, value, true);
    at += 4;
  };
  const putU64 = (value: number): void => {
    view.setBigUint64(at, BigInt(value), true);
    at += 8;
  };
  for (const [i, { spec, offset }] of tensors.entries()) {
    const name = names[i] ?? new Uint8Array();
    putU64(name.byteLength);
    bytes.set(name, at);
    at += name.byteLength;
    putU32(spec.shape.length);
    spec.shape.forEach(putU64);
    putU32(ggmlTypeId(spec.dtype));
    putU64(offset);
  }
  return bytes;
}

function align(offset: number): number {
  return Math.ceil(offset / ALIGNMENT) * ALIGNMENT;
}
