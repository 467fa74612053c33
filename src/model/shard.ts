import type { MetadataValue, ModelFile } from "./model.ts";

/** More than any model has. Each shard costs at least one call of the file system. */
const MOST_SHARDS = 10_000;

/** The part of a split model that a file is, by llama.cpp's `split.*` keys. */
export interface SplitFacts {
  /** From 0. */
  readonly no: number;
  readonly count: number;
  /** Tensors of all shards together; `undefined` where the file does not say. */
  readonly tensors: number | undefined;
}

/** A GGUF file that may be a shard. */
export interface Shard {
  readonly file: ModelFile;
  readonly split: SplitFacts | null;
  readonly tensorCount: number;
}

/** Reads a file that may be a shard. @returns `null` for what is not there or is no GGUF */
export type ReadShard<S extends Shard> = (path: string) => Promise<S | null>;

/**
 * Reads from a file's metadata which shard it is; `null` for a complete file. The name does not count:
 * people rename shards, and name complete files like shards.
 *
 * @throws RangeError for impossible numbers, with the reason in words
 */
export function splitFacts(metadata: Readonly<Record<string, MetadataValue>>): SplitFacts | null {
  const count = numberOf(metadata, "split.count") ?? 0;
  if (count <= 1) return null;
  const no = numberOf(metadata, "split.no") ?? 0;
  if (count > MOST_SHARDS) throw new RangeError(`its split.count is ${count}`);
  if (no >= count) throw new RangeError(`its split.no is ${no} of ${count}`);
  return { no, count, tensors: numberOf(metadata, "split.tensors.count") };
}

function numberOf(
  metadata: Readonly<Record<string, MetadataValue>>,
  key: string,
): number | undefined {
  const value = metadata[key];
  const number = typeof value === "bigint" ? Number(value) : value;
  return typeof number === "number" && Number.isSafeInteger(number) && number >= 0
    ? number
    : undefined;
}
