import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { PrefaultError } from "../errors.ts";
import { asFileError, openFile } from "../files.ts";
import { openGguf, shardPaths } from "./gguf.ts";
import type { Model } from "./model.ts";
import { statModelFile } from "./model-file.ts";
import { openSafetensors, openSafetensorsIndex } from "./safetensors.ts";

/**
 * Reads what tensors a model has. Holds nothing open afterwards.
 *
 * - a GGUF file, or any shard of a split one (`-00001-of-0000N.gguf`): all shards
 * - a safetensors file, or the index JSON of a sharded one: all shards
 * - any other file: one region, the whole of it
 *
 * @throws {@link PrefaultError} `PREFAULT_NOT_FOUND`, `PREFAULT_NOT_A_FILE`, `PREFAULT_PERMISSION`,
 *   `PREFAULT_INVALID_MODEL`, `PREFAULT_MISSING_SHARD`
 */
export async function openModel(path: string): Promise<Model> {
  if (path.endsWith(".safetensors.index.json")) return openSafetensorsIndex(path);
  if (path.endsWith(".safetensors")) return openSafetensors(path);
  if (path.endsWith(".gguf") || (await startsWith(path, "GGUF"))) return openGguf(path);
  return openWholeFile(path);
}

async function startsWith(path: string, magic: string): Promise<boolean> {
  const { handle } = await openFile(path);
  try {
    const start = Buffer.alloc(magic.length);
    await handle.read(start, 0, start.length, 0);
    return start.toString("latin1") === magic;
  } finally {
    await handle.close();
  }
}

async function openWholeFile(path: string): Promise<Model> {
  const file = await statModelFile(path);
  const whole = { name: basename(path), file: 0, offset: 0, byteLength: file.byteLength };
  const tensors = [{ ...whole, dtype: "bytes", shape: [file.byteLength] }];
  return { format: "file", files: [file], tensors, metadata: {} };
}

const MODEL_FILE = /\.(gguf|safetensors|safetensors\.index\.json)$/;

/**
 * The model files a path stands for: itself, or what a directory holds, not looking below it. Files
 * that are shards of one another are named once.
 *
 * @throws {@link PrefaultError} `PREFAULT_NOT_FOUND` for a directory without models
 */
export async function modelPaths(path: string): Promise<string[]> {
  let names: string[];
  try {
    names = await readdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOTDIR") return [path];
    throw asFileError(error, path);
  }
  const indexed = names.some((name) => name.endsWith(".safetensors.index.json"));
  const models = names
    .filter((name) => MODEL_FILE.test(name) && !(indexed && name.endsWith(".safetensors")))
    .sort()
    .map((name) => join(path, name));
  if (models.length === 0) {
    throw new PrefaultError(
      "PREFAULT_NOT_FOUND",
      `${path} is a directory without models (*.gguf, *.safetensors)`,
      { path },
    );
  }
  const seen = new Set<string>();
  return models.filter((model) => {
    const first = model.endsWith(".gguf") ? (shardPaths(model)[0] ?? model) : model;
    return !seen.has(first) && seen.add(first);
  });
}
