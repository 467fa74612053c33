import { readdir, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { PrefaultError } from "../errors.ts";
import type { ReadShard, Shard, SplitFacts } from "./shard.ts";
import { fiveDigits, prefixOf } from "./shard-name.ts";

/** The most files of a folder whose headers are read in search of shards. */
const MOST_LOOKED_INTO = 512;

/**
 * The shards of a model whose file has no shard's name: files of its folder that are shards of the same
 * model by their metadata.
 *
 * @throws {@link PrefaultError} `PREFAULT_MISSING_SHARD`
 */
export async function shardsByContent<S extends Shard>(
  own: S,
  split: SplitFacts,
  read: ReadShard<S>,
): Promise<S[]> {
  const folder = dirname(await realpath(own.file.path).catch(() => own.file.path));
  const names = (await readdir(folder).catch(() => [])).filter(mayBeShard).sort();
  const found: S[] = [];
  for (const name of names.slice(0, MOST_LOOKED_INTO)) {
    const shard = await read(join(folder, name)).catch(() => null);
    if (shard !== null && belongs(shard, own, split)) found.push(shard);
  }
  return chooseShards(own, split, found);
}

function mayBeShard(name: string): boolean {
  // Ollama and the Hugging Face cache keep files under digests as names.
  return /\.gguf$/i.test(name) || /^(sha256[-:])?[0-9a-f]{4,64}$/i.test(name);
}

function belongs(shard: Shard, own: Shard, split: SplitFacts): boolean {
  return (
    shard.file.identity !== own.file.identity &&
    shard.split?.count === split.count &&
    shard.split.tensors === split.tensors
  );
}

/**
 * Chooses the shards of a model among the files that may belong to it.
 *
 * @throws {@link PrefaultError} `PREFAULT_MISSING_SHARD` unless each shard is there exactly once
 */
export function chooseShards<S extends Shard>(
  own: S,
  split: SplitFacts,
  candidates: readonly S[],
): S[] {
  const chosen = Array.from({ length: split.count }, (_, no) => {
    if (no === split.no) return own;
    const fitting = candidates.filter((each) => each.split?.no === no);
    return fitting.length === 1 ? fitting[0] : undefined;
  });
  // A second file with this shard's number and another size: the other shards may belong to that file.
  const prefixes = new Set(chosen.flatMap((each) => (each ? [prefixOf(each.file.path)] : [])));
  const rival = candidates.some(
    (each) =>
      each.split?.no === split.no &&
      each.file.byteLength !== own.file.byteLength &&
      prefixes.has(prefixOf(each.file.path)),
  );
  const lacking = chosen.flatMap((each, no) => (each === undefined ? [no + 1] : []));
  if (lacking.length === 0 && !rival) return chosen.filter((each) => each !== undefined);
  const which = rival ? "which of the shards beside it are its own" : "where the others are";
  throw new PrefaultError(
    "PREFAULT_MISSING_SHARD",
    `${own.file.path} is shard ${split.no + 1} of ${split.count} of a split model, and it cannot be told ` +
      `${which}${rival ? "" : ` (missing: ${listed(lacking)})`}; name it and its shards as they were ` +
      `downloaded (…-00001-of-${fiveDigits(split.count)}.gguf), in one folder`,
    { path: own.file.path },
  );
}

function listed(numbers: readonly number[]): string {
  const shown = numbers.slice(0, 8).join(", ");
  return numbers.length > 8 ? `${shown} and ${numbers.length - 8} more` : shown;
}
