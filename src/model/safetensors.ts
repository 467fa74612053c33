import { basename, dirname, join } from "node:path";
import { abortError, PrefaultError } from "../errors.ts";
import type { FileSet } from "../file/file-set.ts";
import type { OpenFile } from "../file/open-file.ts";
import { expectDistinct } from "./distinct.ts";
import { kindOf } from "./kind.ts";
import type { Model, ModelFile, Tensor } from "./model.ts";
import { expectContents, modelFile, unfinishedHint } from "./model-file.ts";

/** The format's own bound on its header (safetensors, `MAX_HEADER_SIZE`). */
const MOST_HEADER_BYTES = 100_000_000;
/** An index lists names only. */
export const MOST_INDEX_BYTES = 100_000_000;
const LENGTH_BYTES = 8;

/** As PEFT names the weights of an adapter. */
const ADAPTER_NAME = /^adapter_model\b/i;

/** Whether the first bytes of a file can be those of a safetensors file. */
export function looksLikeSafetensors(start: Buffer, byteLength: number): boolean {
  if (start.length <= LENGTH_BYTES) return false;
  const headerBytes = start.readBigUInt64LE();
  const isShort = headerBytes >= 2n && headerBytes <= BigInt(byteLength - LENGTH_BYTES);
  return isShort && headerBytes <= BigInt(MOST_HEADER_BYTES) && start[LENGTH_BYTES] === 0x7b;
}

/** Reads the header of one safetensors file. @throws as {@link openSafetensorsIndex} */
export async function openSafetensors(opened: OpenFile): Promise<Model> {
  const shard = await readShard(opened, 0);
  expectDistinct(shard.tensors, opened.path);
  return modelOf([shard], [], opened.path);
}

/**
 * Reads a sharded safetensors model by its index (`model.safetensors.index.json`), whose
 * `weight_map` names the file of each tensor.
 *
 * @param text of the index
 * @throws {@link PrefaultError} `PREFAULT_INVALID_MODEL`, `PREFAULT_MISSING_SHARD`, and what
 *   {@link FileSet.open} throws
 */
export async function openSafetensorsIndex(
  path: string,
  text: string,
  { files, signal }: { readonly files: FileSet; readonly signal?: AbortSignal | undefined },
): Promise<Model> {
  const weightMap = parseObject(path, text)["weight_map"];
  if (!isObject(weightMap)) throw invalid(path, "it has no weight_map");
  const entries = Object.entries(weightMap).map(
    ([tensor, name]) => [tensor, shardPath(path, name)] as const,
  );
  const paths = [...new Set(entries.map(([, shard]) => shard))].sort();
  const shards: ReadShard[] = [];
  for (const [index, shard] of paths.entries()) {
    if (signal?.aborted) throw abortError(signal);
    shards.push(await openShard(files, shard, index, path));
  }
  expectDistinct(
    shards.flatMap(({ tensors }) => tensors),
    path,
  );
  const there = new Set(shards.flatMap(({ tensors }) => tensors.map(({ name }) => name)));
  const absent = entries.map(([tensor]) => tensor).filter((tensor) => !there.has(tensor));
  const more = absent.length > 1 ? ` and ${absent.length - 1} more` : "";
  const notes =
    absent.length === 0
      ? []
      : [`${path} names the tensor ${absent[0]}${more}, which none of its files has`];
  return modelOf(shards, notes, path);
}

interface ReadShard {
  readonly file: ModelFile;
  readonly tensors: readonly Tensor[];
  readonly metadata: Model["metadata"];
}

function modelOf(shards: readonly ReadShard[], notes: readonly string[], path: string): Model {
  const tensors = shards.flatMap((shard) => shard.tensors);
  tensors.sort((a, b) => a.file - b.file || a.offset - b.offset);
  const metadata = shards[0]?.metadata ?? {};
  const kind = ADAPTER_NAME.test(basename(path)) ? "adapter" : kindOf({ metadata: {}, tensors });
  const files = shards.map(({ file }) => file);
  return { format: "safetensors", files, tensors, metadata, kind, notes };
}

async function openShard(
  files: FileSet,
  path: string,
  index: number,
  asked: string,
): Promise<ReadShard> {
  try {
    const opened = await files.open(path);
    expectContents(opened);
    return await readShard(opened, index);
  } catch (error) {
    if (!PrefaultError.is(error) || error.code !== "PREFAULT_NOT_FOUND") throw error;
    throw new PrefaultError(
      "PREFAULT_MISSING_SHARD",
      `${asked} names ${path}, which is missing${await unfinishedHint(path)}`,
      { path, cause: error },
    );
  }
}

async function readShard(opened: OpenFile, index: number): Promise<ReadShard> {
  const file = modelFile(opened);
  const { header, dataOffset } = await readHeader(opened);
  const tensors: Tensor[] = [];
  let metadata: Model["metadata"] = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name !== "__metadata__") tensors.push(tensorOf(name, entry, index, file, dataOffset));
    else metadata = textsOf(entry);
  }
  return { file, tensors, metadata };
}

async function readHeader({ handle, path, byteLength }: OpenFile) {
  const length = Buffer.alloc(LENGTH_BYTES);
  await handle.read(length, 0, LENGTH_BYTES, 0);
  const headerBytes = length.readBigUInt64LE();
  if (headerBytes > Math.min(MOST_HEADER_BYTES, byteLength - LENGTH_BYTES)) {
    throw invalid(path, `its header claims ${headerBytes} bytes of ${byteLength}`);
  }
  const text = Buffer.alloc(Number(headerBytes));
  const { bytesRead } = await handle.read(text, 0, text.length, LENGTH_BYTES);
  const header = parseObject(path, text.toString("utf8", 0, bytesRead));
  return { header, dataOffset: LENGTH_BYTES + text.length };
}

/**
 * Where a shard lies. A name that leads out of the folder would let an index reach any file of the
 * machine. A link may: the Hugging Face cache has nothing else.
 */
function shardPath(index: string, name: unknown): string {
  const parts = typeof name === "string" ? name.split("/").filter((part) => part !== ".") : [];
  const isInside =
    parts.length > 0 &&
    parts.every((part) => part !== "" && part !== ".." && !/[\\\0]|^[a-z]:/i.test(part));
  if (isInside) return join(dirname(index), ...parts);
  throw invalid(
    index,
    `the shard name ${JSON.stringify(name)} is not a file name inside its folder`,
  );
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
