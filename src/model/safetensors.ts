import { basename, dirname, join } from "node:path";
import { abortError, PrefaultError } from "../errors.ts";
import type { FileSet } from "../file/file-set.ts";
import type { OpenFile } from "../file/open-file.ts";
import { expectDistinct } from "./distinct.ts";
import { kindOf } from "./kind.ts";
import type { Model } from "./model.ts";
import { expectContents, unfinishedHint } from "./model-file.ts";
import { invalid, isObject, parseObject, type ReadShard, readShard } from "./safetensors-header.ts";

/** More than any index has: it lists names only. */
export const MOST_INDEX_BYTES = 100_000_000;

/** As PEFT names the weights of an adapter. */
const ADAPTER_NAME = /^adapter_model\b/i;

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

/**
 * The path of a shard. A name that leads out of the folder is refused, since an index could otherwise name
 * any file of the machine. A symbolic link may lead out: the Hugging Face cache consists of links.
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
