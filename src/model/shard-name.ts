import { basename, dirname, join } from "node:path";

/** As llama.cpp names the parts of a split model (`llama_split_path`). */
const SHARD_NAME = /^(?<prefix>.+)-(?<shard>\d{5})-of-(?<total>\d{5})\.gguf$/i;

/** Whether a file is named as llama.cpp names shards. */
export function hasShardName(path: string): boolean {
  return SHARD_NAME.test(basename(path));
}

/** The name of the model in a shard's name; empty for any other name. */
export function prefixOf(path: string): string {
  return SHARD_NAME.exec(basename(path))?.groups?.["prefix"] ?? "";
}

/** The number of shards that a shard's name gives; `undefined` for any other name. */
export function totalOf(path: string): number | undefined {
  const total = SHARD_NAME.exec(basename(path))?.groups?.["total"];
  return total === undefined ? undefined : Number(total);
}

/**
 * The paths that a shard may have beside one with a shard's name: with the number of shards that the
 * metadata give, and with the one that the name gives.
 *
 * @param no from 0
 */
export function shardPaths(path: string, no: number, count: number): string[] {
  const suffix = path.slice(path.lastIndexOf("."));
  return [count, totalOf(path) ?? count].map((total) =>
    join(dirname(path), `${prefixOf(path)}-${fiveDigits(no + 1)}-of-${fiveDigits(total)}${suffix}`),
  );
}

export function fiveDigits(number: number): string {
  return String(number).padStart(5, "0");
}
