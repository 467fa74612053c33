import { basename, dirname, isAbsolute, resolve } from "node:path";
import { PrefaultError } from "../errors.ts";
import { exists } from "../file/exists.ts";
import type { OpenFile } from "../file/open-file.ts";
import { blobsOfManifest, findNamed, namesOfModelfile, weightsOfManifest } from "./ollama.ts";
import { MOST_INDEX_BYTES } from "./safetensors.ts";
import { disguiseOf, isText, readText } from "./text-file.ts";

/** The most bytes of a Modelfile, which may have a long template, and of a file of presets. */
const MOST_TEXT_BYTES = 4 * 1024 ** 2;
/** The most paths that one file may name. */
const MOST_NAMED = 1000;

/** `model.safetensors.index.json`, and with a variant: `….index.fp16.json`, `….fp16.safetensors.index.json`. */
export const INDEX_NAME = /\.safetensors\.index(\.[\w-]+)?\.json$/i;

/** What a file stands for that is no model itself. */
export type StandIn =
  /** Files or folders, a model first; none for a manifest of a model that is not on this machine. */
  | { readonly leadsTo: readonly string[] }
  /** The text of a safetensors index. */
  | { readonly index: string };

/**
 * Reads what a file stands for, if it is no model itself.
 *
 * @param start its first bytes
 * @returns `undefined` for any other file
 * @throws {@link PrefaultError} `PREFAULT_INVALID_MODEL` for a file in place of a model, such as a Git
 *   LFS pointer or a saved web page; `PREFAULT_NOT_FOUND`, `PREFAULT_MISSING_SHARD`
 */
export async function standInOf(opened: OpenFile, start: Buffer): Promise<StandIn | undefined> {
  const { path, byteLength, handle } = opened;
  const disguise = disguiseOf(path, start, byteLength);
  if (disguise !== undefined) {
    throw refused(path, `${disguise.what}; ${disguise.advice}`);
  }
  if (INDEX_NAME.test(path)) {
    if (byteLength > MOST_INDEX_BYTES) throw refused(path, `an index of ${byteLength} bytes`);
    return { index: await readText(handle, byteLength) };
  }
  if (!isText(start)) return undefined;
  if (/^\s*\{/.test(start.toString("utf8"))) {
    if (byteLength > MOST_INDEX_BYTES) return undefined;
    return ofJson(path, await readText(handle, byteLength));
  }
  if (byteLength > MOST_TEXT_BYTES) return undefined;
  if (isModelfile(path, start)) return ofModelfile(path, await readText(handle, byteLength));
  if (/\.ini$/i.test(path)) return ofPresets(path, await readText(handle, byteLength));
  return undefined;
}

async function ofJson(path: string, text: string): Promise<StandIn | undefined> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  const digests = weightsOfManifest(json);
  if (digests !== null) return { leadsTo: await blobsOfManifest(path, digests) };
  const { weight_map: map, model_param: kobold } = (json ?? {}) as Record<string, unknown>;
  // The settings that koboldcpp saves (.kcpps).
  if (typeof kobold === "string" && kobold !== "")
    return { leadsTo: [await besideOrHere(kobold, path)] };
  return typeof map === "object" && map !== null ? { index: text } : undefined;
}

function isModelfile(path: string, start: Buffer): boolean {
  if (/^modelfile(\.[\w-]+)?$|\.modelfile$/i.test(basename(path))) return true;
  const first = start
    .toString("utf8")
    .split("\n")
    .find((line) => line.trim() !== "" && !line.trimStart().startsWith("#"));
  // A Dockerfile begins in the same way, and a mailbox similarly.
  const hasNoSuffix = !basename(path).includes(".");
  return hasNoSuffix && /^FROM\s+\S/.test(first ?? "") && !/(docker|container)file/i.test(path);
}

async function ofModelfile(path: string, text: string): Promise<StandIn> {
  const names = namesOfModelfile(text).slice(0, MOST_NAMED);
  if (names.length === 0) throw refused(path, "a Modelfile without a line FROM");
  const leadsTo: string[] = [];
  for (const name of names) {
    const found = await findNamed(name, path);
    if (found === undefined) {
      throw new PrefaultError(
        "PREFAULT_NOT_FOUND",
        `${path} is a Modelfile of ${name}, which is neither a file beside it nor a model in the local Ollama store`,
        { path },
      );
    }
    leadsTo.push(found);
  }
  return { leadsTo };
}

/** Keys of llama-server's presets that name files of weights, as flags, as letters, as variables. */
const PRESET_KEY =
  /^\s*-{0,2}(model|m|LLAMA_ARG_MODEL|mmproj|mm|LLAMA_ARG_MMPROJ|model-draft|md|LLAMA_ARG_MODEL_DRAFT)\s*=\s*(.+?)\s*$/;

async function ofPresets(path: string, text: string): Promise<StandIn> {
  const names = text
    .split(/\r?\n/)
    .flatMap((line) => PRESET_KEY.exec(line)?.[2]?.replace(/^(["'])(.*)\1$/, "$2") ?? []);
  if (names.length === 0) {
    throw refused(
      path,
      "an INI file that names no model (model = FILE); name the model's own file",
    );
  }
  const leadsTo: string[] = [];
  for (const name of new Set(names.slice(0, MOST_NAMED)))
    leadsTo.push(await besideOrHere(name, path));
  return { leadsTo };
}

/** A relative path, from the folder of the file that names it, or else from the working directory. */
async function besideOrHere(name: string, path: string): Promise<string> {
  if (isAbsolute(name)) return name;
  const beside = resolve(dirname(path), name);
  return (await exists(beside)) ? beside : resolve(name);
}

function refused(path: string, what: string): PrefaultError {
  return new PrefaultError("PREFAULT_INVALID_MODEL", `${path} is ${what}`, { path });
}
