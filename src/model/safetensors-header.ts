import { PrefaultError } from "../errors.ts";
import type { OpenFile } from "../file/open-file.ts";
import type { Model, ModelFile, Tensor } from "./model.ts";
import { modelFile } from "./model-file.ts";

/** The format's own bound on its header (safetensors, `MAX_HEADER_SIZE`). */
const MOST_HEADER_BYTES = 100_000_000;
const LENGTH_BYTES = 8;
/** Whether the first bytes of a file can be those of a safetensors file. */
export function looksLikeSafetensors(start: Buffer, byteLength: number): boolean {
  if (start.length <= LENGTH_BYTES) return false;
  const headerBytes = start.readBigUInt64LE();
  const isShort = headerBytes >= 2n && headerBytes <= BigInt(byteLength - LENGTH_BYTES);
  return isShort && headerBytes <= BigInt(MOST_HEADER_BYTES) && start[LENGTH_BYTES] === 0x7b;
}

/** A file with its parsed header. */
export interface ReadShard {
  readonly file: ModelFile;
  readonly tensors: readonly Tensor[];
  readonly metadata: Model["metadata"];
}

/** Reads the header of one file. @param index of the file among those of its model */
export async function readShard(opened: OpenFile, index: number): Promise<ReadShard> {
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

/** @throws {@link PrefaultError} `PREFAULT_INVALID_MODEL` for anything but a JSON object */
export function parseObject(path: string, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(path, "its JSON cannot be parsed", cause);
  }
  if (!isObject(value)) throw invalid(path, "its JSON is not an object");
  return value;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The metadata: `__metadata__` maps texts to texts, and other values are left out. */
function textsOf(entry: unknown): Model["metadata"] {
  if (!isObject(entry)) return {};
  const texts = Object.entries(entry).filter(([, value]) => typeof value === "string");
  return Object.fromEntries(texts) as Record<string, string>;
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((each) => Number.isSafeInteger(each) && each >= 0);
}

export function invalid(path: string, why: string, cause?: unknown): PrefaultError {
  return new PrefaultError(
    "PREFAULT_INVALID_MODEL",
    `${path} is not a usable safetensors model: ${why}`,
    {
      path,
      cause,
    },
  );
}
