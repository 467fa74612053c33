import { basename, dirname, join } from "node:path";
import { PrefaultError } from "../errors.ts";
import { asFileError, openFile } from "../files.ts";
import { expectDistinct } from "./distinct.ts";
import { ggmlByteLength, ggmlTypeName } from "./ggml-types.ts";
import { BadHeader, type GgufHeader, type GgufTensorInfo, readGgufHeader } from "./gguf-header.ts";
import { PastEnd } from "./header-cursor.ts";
import type { Model, ModelFile, Tensor } from "./model.ts";
import { statModelFile } from "./model-file.ts";

/** As llama.cpp names the parts of a split model (`llama_split_path`). */
const SHARD_NAME = /^(?<prefix>.+)-(?<shard>\d{5})-of-(?<total>\d{5})\.gguf$/;

/** The most shards a name may promise; no model comes close, and each costs a look at the disk. */
const MOST_SHARDS = 10_000;

/** ggml.h, `GGUF_DEFAULT_ALIGNMENT`. */
const DEFAULT_ALIGNMENT = 32;

const CUT_OFF = "(truncated, or still being downloaded?)";

/**
 * Reads the header of a GGUF model, of all its shards whichever one is named.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_MODEL`, `PREFAULT_MISSING_SHARD`, and what
 *   {@link statModelFile} throws
 */
export async function openGguf(path: string): Promise<Model> {
  const files: ModelFile[] = [];
  const tensors: Tensor[] = [];
  let metadata: Model["metadata"] = {};
  for (const [index, shard] of shardPaths(path).entries()) {
    const file = await statShard(shard, path);
    const header = await readHeader(file);
    const start = dataOffset(file, header);
    if (index === 0) metadata = header.metadata;
    files.push(file);
    for (const info of header.tensors) tensors.push(tensorOf(info, start, index, file));
  }
  expectDistinct(tensors, path);
  return { format: "gguf", files, tensors: inFileOrder(tensors), metadata };
}

/** Every shard of the model a path belongs to, in order; the path alone when it is not split. */
export function shardPaths(path: string): string[] {
  const { prefix, shard: digits = "", total: most } = SHARD_NAME.exec(basename(path))?.groups ?? {};
  if (prefix === undefined) return [path];
  const total = Number(most);
  const shard = Number(digits);
  if (total > MOST_SHARDS || shard < 1 || shard > total) {
    throw new PrefaultError(
      "PREFAULT_INVALID_MODEL",
      `${path} names shard ${digits} of ${most}, which cannot be`,
      { path },
    );
  }
  return Array.from({ length: total }, (_, index) => {
    const number = String(index + 1).padStart(digits.length, "0");
    return join(dirname(path), `${prefix}-${number}-of-${most}.gguf`);
  });
}

async function statShard(shard: string, asked: string): Promise<ModelFile> {
  try {
    return await statModelFile(shard);
  } catch (error) {
    if (shard === asked || !PrefaultError.is(error) || error.code !== "PREFAULT_NOT_FOUND") {
      throw error;
    }
    throw new PrefaultError("PREFAULT_MISSING_SHARD", `${asked} is split and ${shard} is missing`, {
      path: shard,
      cause: error,
    });
  }
}

async function readHeader(file: ModelFile): Promise<GgufHeader> {
  const { handle, byteLength } = await openFile(file.path);
  try {
    return await readGgufHeader(handle, byteLength);
  } catch (cause) {
    if (cause instanceof BadHeader) throw invalid(file, cause.message, cause);
    if (!(cause instanceof PastEnd)) throw asFileError(cause, file.path);
    throw invalid(file, `its header does not end in a file of ${byteLength} bytes ${CUT_OFF}`);
  } finally {
    await handle.close();
  }
}

/** Where the tensor data begins, in bytes. */
function dataOffset(file: ModelFile, { metadata, end }: GgufHeader): bigint {
  const alignment = metadata["general.alignment"] ?? DEFAULT_ALIGNMENT;
  if (typeof alignment === "number" && alignment >= 1 && Number.isInteger(Math.log2(alignment))) {
    return BigInt(Math.ceil(end / alignment) * alignment);
  }
  throw invalid(file, `its general.alignment is ${alignment}`);
}

function tensorOf(
  { name, shape, type, offset: dataOffset }: GgufTensorInfo,
  start: bigint,
  index: number,
  file: ModelFile,
): Tensor {
  const byteLength = ggmlByteLength(type, shape);
  if (byteLength === undefined) throw invalid(file, `tensor ${name} has unknown type ${type}`);
  const offset = start + dataOffset;
  // Compared as integers of any size: a hostile offset may be near 2^64.
  if (offset + byteLength > BigInt(file.byteLength)) {
    throw invalid(
      file,
      `tensor ${name} ends at byte ${offset + byteLength} of a file of ${file.byteLength} ${CUT_OFF}`,
    );
  }
  return {
    name,
    file: index,
    offset: Number(offset),
    byteLength: Number(byteLength),
    dtype: ggmlTypeName(type),
    shape: shape.map(Number),
  };
}

function inFileOrder(tensors: Tensor[]): Tensor[] {
  return tensors.sort((a, b) => a.file - b.file || a.offset - b.offset);
}

function invalid(file: ModelFile, why: string, cause?: unknown): PrefaultError {
  return new PrefaultError("PREFAULT_INVALID_MODEL", `${file.path} is not a usable GGUF: ${why}`, {
    path: file.path,
    cause,
  });
}
