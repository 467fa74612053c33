import { createWriteStream } from "node:fs";
import { truncate, writeFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { tensorData } from "./tensor-data.ts";
import type { TensorSpec } from "./tensor-spec.ts";

/** A tensor with its place in the file, in bytes from the start of the file. */
export interface PlacedTensor {
  readonly spec: TensorSpec;
  readonly offset: number;
  readonly byteLength: number;
}

/**
 * - `random`: every byte is written, and the model can run.
 * - `hole`: the file has its full length but no data blocks, for planning over models larger than the disk.
 */
export type Contents = "random" | "hole";

/** Writes header and tensors in bounded memory. Nothing follows the last tensor. */
export async function writeModelFile(
  path: string,
  header: Uint8Array,
  tensors: readonly PlacedTensor[],
  options: { seed: number; contents: Contents },
): Promise<void> {
  if (options.contents === "hole") {
    await writeFile(path, header);
    const last = tensors.at(-1);
    if (last !== undefined) await truncate(path, last.offset + last.byteLength);
    return;
  }
  await pipeline(Readable.from(pieces(header, tensors, options.seed)), createWriteStream(path));
}

function* pieces(
  header: Uint8Array,
  tensors: readonly PlacedTensor[],
  seed: number,
): Generator<Uint8Array> {
  yield header;
  let at = header.byteLength;
  for (const { spec, offset, byteLength } of tensors) {
    if (offset > at) yield new Uint8Array(offset - at);
    yield* tensorData(spec, byteLength, seed);
    at = offset + byteLength;
  }
}

/**
 * Cuts a list of tensors into `count` runs of about equal bytes, none of them empty, keeping the order.
 *
 * @throws RangeError when there are fewer tensors than shards
 */
export function intoShards<T>(
  items: readonly T[],
  count: number,
  sizeOf: (item: T) => number,
): T[][] {
  if (!Number.isInteger(count) || count < 1 || count > Math.max(1, items.length)) {
    throw new RangeError(`${items.length} tensors make 1 to ${items.length} shards, not ${count}`);
  }
  const total = items.reduce((sum, item) => sum + sizeOf(item), 0);
  const shards: T[][] = [[]];
  let before = 0;
  items.forEach((item, i) => {
    const current = shards.at(-1) ?? [];
    const left = count - shards.length;
    const isFull = before >= (total * shards.length) / count;
    const isNeededLater = items.length - i <= left;
    if (current.length > 0 && left > 0 && (isFull || isNeededLater)) shards.push([item]);
    else current.push(item);
    before += sizeOf(item);
  });
  return shards;
}

/** `model.gguf` as the second of three: `model-00002-of-00003.gguf`. */
export function shardPath(path: string, extension: string, index: number, count: number): string {
  const digits = (n: number): string => String(n).padStart(5, "0");
  return `${path.slice(0, -extension.length)}-${digits(index + 1)}-of-${digits(count)}${extension}`;
}
