import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { PrefaultError } from "../errors.ts";
import { openFile } from "../files.ts";
import { expectDistinct } from "./distinct.ts";
import type { Model, ModelFile, Tensor } from "./model.ts";
import { statModelFile } from "./model-file.ts";

/** The format's own bound on its header (safetensors, `MAX_HEADER_SIZE`). */
const MOST_HEADER_BYTES = 100_000_000;
/** An index lists names only. */
const MOST_INDEX_BYTES = 100_000_000;
const LENGTH_BYTES = 8;

/** Reads the header of one safetensors file. @throws as {@link openSafetensorsIndex} */
export async function openSafetensors(path: string): Promise<Model> {
  return readShards([path], path);
}

/**
 * Reads a sharded safetensors model by its index (`model.safetensors.index.json`), whose
 * `weight_map` names the file of each tensor.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_MODEL`, `PREFAULT_MISSING_SHARD`, and what
 *   {@link statModelFile} throws
 */
export async function openSafetensorsIndex(path: string): Promise<Model> {
  const { byteLength } = await statModelFile(path);
  if (byteLength > MOST_INDEX_BYTES) throw invalid(path, `an index of ${byteLength} bytes`);
  const index = parseObject(path, await readFile(path, "utf8"));
  const weightMap = index["weight_map"];
  if (!isObject(weightMap)) throw invalid(path, "it has no weight_map");
  const names = new Set(Object.values(weightMap));
  const shards = [...names].map((name) => {
    // A name that leads elsewhere would let an index reach any file of the machine.
    if (typeof name !== "string" || !isPlainName(name)) {
      throw invalid(path, `the shard name ${JSON.stringify(name)} is not a plain file name`);
    }
    return join(dirname(path), name);
  });
  try {
    return await readShards(shards.sort(), path);
  } catch (error) {
    if (!PrefaultError.is(error) || error.code !== "PREFAULT_NOT_FOUND") throw error;
    throw new PrefaultError(
      "PREFAULT_MISSING_SHARD",
      `${path} names ${error.path}, which is missing`,
      {
        path: error.path,
        cause: error,
      },
    );
  }
}

async function readShards(paths: readonly string[], asked: string): Promise<Model> {
  const files: ModelFile[] = [];
  const tensors: Tensor[] = [];
  let metadata: Model["metadata"] = {};
  for (const [index, path] of paths.entries()) {
    const file = await statModelFile(path);
    const { header, dataOffset } = await readHeader(file);
    for (const [name, entry] of Object.entries(header)) {
      if (name !== "__metadata__") tensors.push(tensorOf(name, entry, index, file, dataOffset));
      else if (index === 0) metadata = textsOf(entry);
    }
    files.push(file);
  }
  expectDistinct(tensors, asked);
  tensors.sort((a, b) => a.file - b.file || a.offset - b.offset);
  return { format: "safetensors", files, tensors, metadata };
}

async function readHeader(file: ModelFile) {
  const { handle } = await openFile(file.path);
  try {
    const length = Buffer.alloc(LENGTH_BYTES);
    await handle.read(length, 0, LENGTH_BYTES, 0);
    const headerBytes = length.readBigUInt64LE();
    const mostBytes = Math.min(MOST_HEADER_BYTES, file.byteLength - LENGTH_BYTES);
    if (headerBytes > mostBytes) {
      throw invalid(file.path, `its header claims ${headerBytes} bytes of ${file.byteLength}`);
    }
    const text = Buffer.alloc(Number(headerBytes));
    const { bytesRead } = await handle.read(text, 0, text.length, LENGTH_BYTES);
    const header = parseObject(file.path, text.toString("utf8", 0, bytesRead));
    return { header, dataOffset: LENGTH_BYTES + text.length };
  } finally {
    await handle.close();
  }
}

function tensorOf(
  name: string,
  entry: unknown,
  index: number,
  file: ModelFile,
  dataOffset: number,
): Tensor {
  if (!isObject(entry)) throw invalid(file.path, `tensor ${name} is not an object`);
  const { dtype, shape, data_offsets: span } = entry;
  if (
    typeof dtype !== "string" ||
    !isCounts(shape) ||
    !isCounts(span) ||
    span.length !== 2 ||
    (span[0] ?? 0) > (span[1] ?? 0)
  ) {
    throw invalid(file.path, `tensor ${name} has no valid dtype, shape and data_offsets`);
  }
  const [begin = 0, end = 0] = span;
  if (dataOffset + end > file.byteLength) {
    throw invalid(
      file.path,
      `tensor ${name} ends at byte ${dataOffset + end} of a file of ${file.byteLength} ` +
        "(truncated, or still being downloaded?)",
    );
  }
  return { name, file: index, offset: dataOffset + begin, byteLength: end - begin, dtype, shape };
}

function parseObject(path: string, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(path, "its JSON cannot be parsed", cause);
  }
  if (!isObject(value)) throw invalid(path, "its JSON is not an object");
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isPlainName(name: string): boolean {
  return /^[^/\\]+$/.test(name) && !name.includes("\0") && name !== "." && name !== "..";
}

/** `__metadata__` maps texts to texts; what else stands in it is left out. */
function textsOf(entry: unknown): Model["metadata"] {
  if (!isObject(entry)) return {};
  const texts = Object.entries(entry).filter(([, value]) => typeof value === "string");
  return Object.fromEntries(texts) as Record<string, string>;
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((each) => Number.isSafeInteger(each) && each >= 0);
}

function invalid(path: string, why: string, cause?: unknown): PrefaultError {
  return new PrefaultError(
    "PREFAULT_INVALID_MODEL",
    `${path} is not a usable safetensors model: ${why}`,
    {
      path,
      cause,
    },
  );
}
