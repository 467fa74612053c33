import { realpath } from "node:fs/promises";
import { PrefaultError } from "../errors.ts";
import { unfinishedHint } from "./model-file.ts";
import type { ReadShard, Shard, SplitFacts } from "./shard.ts";
import { hasShardName, shardPaths, totalOf } from "./shard-name.ts";
import { shardsByContent } from "./shards-by-content.ts";

/**
 * All shards of the model that a shard belongs to, in order.
 *
 * They are looked for by name in its folder, and in the folder of the file that it is a link to. Without
 * a shard's name, the headers of the files in its folder are read instead.
 *
 * @throws {@link PrefaultError} `PREFAULT_MISSING_SHARD`, and `PREFAULT_INVALID_MODEL` for shards that
 *   do not belong together
 */
export async function findShards<S extends Shard>(own: S, read: ReadShard<S>): Promise<S[]> {
  const { split } = own;
  if (split === null) return [own];
  const byName = await shardsByName(own, split, read);
  const shards = byName ?? (await shardsByContent(own, split, read));
  expectAll(shards, split, own.file.path);
  return shards;
}

async function shardsByName<S extends Shard>(
  own: S,
  split: SplitFacts,
  read: ReadShard<S>,
): Promise<S[] | undefined> {
  const given = own.file.path;
  const real = await realpath(given).catch(() => given);
  const named = [given, real].filter(hasShardName);
  if (named.length === 0) return undefined;
  const shards: S[] = [];
  for (let no = 0; no < split.count; no++) {
    if (no === split.no) {
      shards.push(own);
      continue;
    }
    const names = [...new Set(named.flatMap((path) => shardPaths(path, no, split.count)))];
    const found = await firstOf(names, read);
    if (found === undefined) throw await missing(own, split, no, names[0] ?? given);
    expectShard(found, split, no, given);
    shards.push(found);
  }
  return shards;
}

async function firstOf<S extends Shard>(
  paths: readonly string[],
  read: ReadShard<S>,
): Promise<S | undefined> {
  for (const path of paths) {
    const shard = await read(path);
    if (shard !== null) return shard;
  }
  return undefined;
}

function expectShard(shard: Shard, split: SplitFacts, no: number, asked: string): void {
  const { split: found, file } = shard;
  if (found?.no === no && found.count === split.count) return;
  const says =
    found === null
      ? "it is no shard by its metadata"
      : `by its metadata it is shard ${found.no + 1} of ${found.count}`;
  throw new PrefaultError(
    "PREFAULT_INVALID_MODEL",
    `${file.path} should be shard ${no + 1} of the ${split.count} that ${asked} belongs to, but ${says}` +
      " (the same shard twice, or of another download?)",
    { path: file.path },
  );
}

function expectAll(shards: readonly Shard[], { tensors }: SplitFacts, asked: string): void {
  const together = shards.reduce((sum, shard) => sum + shard.tensorCount, 0);
  if (tensors === undefined || tensors === together) return;
  throw new PrefaultError(
    "PREFAULT_INVALID_MODEL",
    `the ${shards.length} shards of ${asked} have ${together} tensors together, and split.tensors.count says ` +
      `${tensors}: they are not all of one model, or of one download`,
    { path: asked },
  );
}

async function missing(
  own: Shard,
  { no: ownNo, count }: SplitFacts,
  no: number,
  path: string,
): Promise<PrefaultError> {
  const total = totalOf(own.file.path);
  const differs =
    total !== undefined && total !== count
      ? ` (its split.count says ${count}, although its name says otherwise)`
      : "";
  return new PrefaultError(
    "PREFAULT_MISSING_SHARD",
    `${own.file.path} is shard ${ownNo + 1} of ${count}${differs}, and shard ${no + 1} is missing: ` +
      `${path}${await unfinishedHint(path)}`,
    { path },
  );
}
