import { readdir, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { PrefaultError } from "../errors.ts";
import type { MetadataValue, ModelFile } from "./model.ts";
import { unfinishedHint } from "./model-file.ts";

/** As llama.cpp names the parts of a split model (`llama_split_path`). */
const SHARD_NAME = /^(?<prefix>.+)-(?<shard>\d{5})-of-(?<total>\d{5})\.gguf$/i;

/** More than any model has; each costs a look at the disk. */
const MOST_SHARDS = 10_000;
/** Files of a folder that are looked into for shards without a shard's name. */
const MOST_LOOKED_INTO = 512;

/** Which part of a split model a file says it is: llama.cpp's `split.*` keys. */
export interface SplitFacts {
  /** From 0. */
  readonly no: number;
  readonly count: number;
  /** Tensors of all shards together; `undefined` where the file does not say. */
  readonly tensors: number | undefined;
}

/** A shard as far as it matters which one it is. */
export interface Shard {
  readonly file: ModelFile;
  readonly split: SplitFacts | null;
  readonly tensorCount: number;
}

/** Whether a file is named as llama.cpp names shards. */
export function hasShardName(path: string): boolean {
  return SHARD_NAME.test(basename(path));
}

/** Reads a file that may be a shard. @returns `null` for what is not there or is no GGUF */
export type ReadShard<S extends Shard> = (path: string) => Promise<S | null>;

/**
 * What the metadata of a file say of its being a shard; `null` for a complete file. The name says
 * nothing: people rename shards, and name complete files like shards.
 *
 * @throws RangeError for numbers that cannot be, with the reason in words
 */
export function splitFacts(metadata: Readonly<Record<string, MetadataValue>>): SplitFacts | null {
  const count = numberOf(metadata, "split.count") ?? 0;
  if (count <= 1) return null;
  const no = numberOf(metadata, "split.no") ?? 0;
  if (count > MOST_SHARDS) throw new RangeError(`its split.count is ${count}`);
  if (no >= count) throw new RangeError(`its split.no is ${no} of ${count}`);
  return { no, count, tensors: numberOf(metadata, "split.tensors.count") };
}

/**
 * All shards of the model that a shard belongs to, in order.
 *
 * They are looked for by name beside it, and beside the file it is a link to. Where it has no shard's
 * name, the files of its folder are looked into, and taken where only one can be meant.
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
    const names = [...new Set(named.flatMap((path) => namesOf(path, no, split.count)))];
    const found = await firstOf(names, read);
    if (found === undefined) throw await missing(own, split, no, names[0] ?? given);
    expectShard(found, split, no, given);
    shards.push(found);
  }
  return shards;
}

/** Under the count that the metadata say, and under the one that the name says. */
function namesOf(path: string, no: number, count: number): string[] {
  const { prefix = "", total = "" } = SHARD_NAME.exec(basename(path))?.groups ?? {};
  const suffix = path.slice(path.lastIndexOf("."));
  return [fiveDigits(count), total].map((of) =>
    join(dirname(path), `${prefix}-${fiveDigits(no + 1)}-of-${of}${suffix}`),
  );
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

async function shardsByContent<S extends Shard>(
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
  // Ollama and the Hugging Face cache keep files under names without a suffix.
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
 * The shards that belong to one of them, out of all that could; empty places where it is not certain
 * which.
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
  // Another shard of our number, with other contents: the rest may be that one's.
  const prefixes = new Set(chosen.flatMap((each) => (each ? [prefixOf(each)] : [])));
  const rival = candidates.some(
    (each) =>
      each.split?.no === split.no &&
      each.file.byteLength !== own.file.byteLength &&
      prefixes.has(prefixOf(each)),
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

function prefixOf({ file }: Shard): string {
  return SHARD_NAME.exec(basename(file.path))?.groups?.["prefix"] ?? "";
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
  const total = SHARD_NAME.exec(basename(own.file.path))?.groups?.["total"];
  const differs =
    total !== undefined && Number(total) !== count
      ? ` (its split.count says ${count}, whatever its name says)`
      : "";
  return new PrefaultError(
    "PREFAULT_MISSING_SHARD",
    `${own.file.path} is shard ${ownNo + 1} of ${count}${differs}, and shard ${no + 1} is missing: ` +
      `${path}${await unfinishedHint(path)}`,
    { path },
  );
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

function fiveDigits(number: number): string {
  return String(number).padStart(5, "0");
}

function listed(numbers: readonly number[]): string {
  const shown = numbers.slice(0, 8).join(", ");
  return numbers.length > 8 ? `${shown} and ${numbers.length - 8} more` : shown;
}
