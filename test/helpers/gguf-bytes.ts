/** GGUF headers byte by byte, so that they can say what no writer would write. Little-endian. */

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

const u64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
};

const text = (value: string, claimed = BigInt(value.length)): Buffer =>
  Buffer.concat([u64(claimed), Buffer.from(value, "latin1")]);

const STRING = 8;
const ARRAY = 9;

export const stringEntry = (key: string, value: string, claimed?: bigint): Buffer =>
  Buffer.concat([text(key), u32(STRING), text(value, claimed)]);

const UINT32 = 4;

/** A number, as u32. */
export const numberEntry = (key: string, value: number): Buffer =>
  Buffer.concat([text(key), u32(UINT32), u32(value)]);

/** What `llama-gguf-split` writes into a shard; `no` counts from 0. */
export const splitEntries = (no: number, count: number, tensors: number): Buffer[] => [
  numberEntry("split.no", no),
  numberEntry("split.count", count),
  numberEntry("split.tensors.count", tensors),
];

/** An array of `claimed` u32 of which none follow. */
export const arrayEntry = (key: string, claimed: bigint): Buffer =>
  Buffer.concat([text(key), u32(ARRAY), u32(4), u64(claimed)]);

export interface TensorInfo {
  readonly name?: string;
  /** GGML's number of the element type. @defaultValue `0`, F32 */
  readonly type?: number;
  readonly shape?: readonly bigint[];
  readonly offset?: bigint;
  /** What the header says its number of dimensions is. */
  readonly dimensions?: number;
}

export const tensorInfo = ({
  name = "t",
  type = 0,
  shape = [8n],
  offset = 0n,
  dimensions = shape.length,
}: TensorInfo): Buffer =>
  Buffer.concat([text(name), u32(dimensions), ...shape.map(u64), u32(type), u64(offset)]);

export interface GgufHeader {
  readonly magic?: string;
  readonly version?: number;
  readonly entries?: readonly Buffer[];
  readonly tensors?: readonly Buffer[];
  readonly tensorCount?: bigint;
  readonly entryCount?: bigint;
  /** Bytes of tensor data that follow. @defaultValue `32` */
  readonly dataBytes?: number;
}

export function ggufBytes({
  magic = "GGUF",
  version = 3,
  entries = [stringEntry("general.architecture", "llama")],
  tensors = [tensorInfo({})],
  tensorCount = BigInt(tensors.length),
  entryCount = BigInt(entries.length),
  dataBytes = 32,
}: GgufHeader): Buffer {
  const header = Buffer.concat([
    Buffer.from(magic, "latin1"),
    u32(version),
    u64(tensorCount),
    u64(entryCount),
    ...entries,
    ...tensors,
  ]);
  const padding = Buffer.alloc((32 - (header.length % 32)) % 32);
  return Buffer.concat([header, padding, Buffer.alloc(dataBytes, 1)]);
}
