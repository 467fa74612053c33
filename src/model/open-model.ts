import { abortError, PrefaultError } from "../errors.ts";
import { FileSet } from "../file/file-set.ts";
import type { OpenFile } from "../file/open-file.ts";
import { formatBytes } from "../units.ts";
import { NOT_UTF8 } from "./folder-entries.ts";
import { openGguf } from "./gguf.ts";
import { readLlamafile } from "./llamafile.ts";
import type { Model } from "./model.ts";
import { expectContents, unfinishedHint } from "./model-file.ts";
import { openSafetensors, openSafetensorsIndex } from "./safetensors.ts";
import { looksLikeSafetensors } from "./safetensors-header.ts";
import { standInOf } from "./stand-in.ts";
import { isGguf, isText, oldFormatOf, oneLine, readStart } from "./text-file.ts";
import { wholeFile } from "./whole-file.ts";

export interface OpenModelOptions {
  /** Ends the reading; the promise then rejects with `PREFAULT_ABORTED`. @defaultValue none */
  readonly signal?: AbortSignal | undefined;
}

export interface OpenPathOptions extends OpenModelOptions {
  /**
   * Opens a damaged or incomplete model as a plain file, with a note: enough for residency and eviction.
   *
   * @defaultValue `false`
   */
  readonly asBytes?: boolean | undefined;
  /** Opens the files, and keeps them open. @defaultValue they are closed again */
  readonly files?: FileSet | undefined;
}

/** The result of opening a path: a model, or the paths that the file names. */
export type Opened = { readonly model: Model } | { readonly leadsTo: readonly string[] };

/** Files that lead to a model, one after the other: presets name a Modelfile, which names a manifest. */
export const MOST_STEPS = 4;

/**
 * Reads the tensors of a model: their names, files and places. The format follows from the file's contents,
 * and from its name where the contents are ambiguous. Holds nothing open afterwards.
 *
 * - a GGUF file: with all its shards, whichever one is named; a llamafile
 * - a safetensors file, or the index JSON of a sharded one: all shards
 * - an Ollama manifest, a Modelfile, an `.ini` of presets: the first model that it names
 * - any other file: a single tensor, the whole file
 *
 * @throws {@link PrefaultError} `PREFAULT_NOT_FOUND`, `PREFAULT_NOT_A_FILE`, `PREFAULT_PERMISSION`,
 *   `PREFAULT_INVALID_MODEL` (also for a Git LFS pointer or a web page in place of a model),
 *   `PREFAULT_MISSING_SHARD`, `PREFAULT_ABORTED`
 */
export async function openModel(path: string, options: OpenModelOptions = {}): Promise<Model> {
  let next = path;
  for (let steps = 0; steps < MOST_STEPS; steps++) {
    const opened = await openPath(next, options);
    if ("model" in opened) return opened.model;
    const [first] = opened.leadsTo;
    if (first === undefined) throw namesNothing(next);
    next = first;
  }
  throw leadsNowhere(path);
}

/** The error of files that name one another. */
export function leadsNowhere(path: string): PrefaultError {
  const message = `${path} leads from file to file, and to no model`;
  return new PrefaultError("PREFAULT_INVALID_MODEL", message, { path });
}

/** The error of a manifest without weights. */
export function namesNothing(path: string): PrefaultError {
  return new PrefaultError(
    "PREFAULT_INVALID_MODEL",
    `${path} is a manifest that names no weights (as that of a cloud model, which has no files here)`,
    { path },
  );
}

/** Opens a file and the other files of its model. @throws as {@link openModel} */
export async function openPath(path: string, options: OpenPathOptions = {}): Promise<Opened> {
  const { files = new FileSet(), signal, asBytes = false } = options;
  if (signal?.aborted) throw abortError(signal);
  try {
    return await read(await openNamed(path, files), { files, signal, asBytes });
  } finally {
    if (options.files === undefined) await files.close();
  }
}

/** The options with their defaults. */
interface Reading {
  readonly files: FileSet;
  readonly signal: AbortSignal | undefined;
  readonly asBytes: boolean;
}

async function openNamed(path: string, files: FileSet): Promise<OpenFile> {
  try {
    return await files.open(path);
  } catch (error) {
    if (!PrefaultError.is(error) || error.code !== "PREFAULT_NOT_FOUND") throw error;
    // Node.js decodes bytes that are no UTF-8 to this character.
    const hint = path.includes("\ufffd") ? ` (${NOT_UTF8}?)` : await unfinishedHint(path);
    if (hint === "") throw error;
    throw new PrefaultError(error.code, error.message + hint, {
      path: error.path,
      errno: error.errno,
      cause: error,
    });
  }
}

async function read(opened: OpenFile, reading: Reading): Promise<Opened> {
  const start = await readStart(opened.handle, opened.byteLength);
  const standIn = await standInOf(opened, start);
  if (standIn !== undefined && "leadsTo" in standIn) return standIn;
  try {
    expectContents(opened);
    if (standIn !== undefined) {
      return { model: await openSafetensorsIndex(opened.path, standIn.index, reading) };
    }
    return { model: await readModel(opened, start, reading) };
  } catch (error) {
    const isDamaged =
      PrefaultError.is(error) &&
      (error.code === "PREFAULT_INVALID_MODEL" || error.code === "PREFAULT_MISSING_SHARD");
    if (!isDamaged || !reading.asBytes) throw error;
    return { model: wholeFile(opened, [`${error.message}; opened as a plain file`]) };
  }
}

async function readModel(opened: OpenFile, start: Buffer, reading: Reading): Promise<Model> {
  const { path, byteLength } = opened;
  if (isGguf(start)) return openGguf(opened, reading);
  const inArchive = await readLlamafile(opened, start, reading);
  if (inArchive !== undefined) return inArchive;
  const old = oldFormatOf(start);
  if (old !== undefined) return openOldFormat(opened, old);
  // The format has no magic number: it begins with the length of its header. So the name or the text
  // after that length has to say that it is one.
  if (/\.safetensors$/i.test(path) || looksLikeSafetensors(start, byteLength)) {
    return openSafetensors(opened);
  }
  if (/\.gguf$/i.test(path)) throw notGguf(path, start);
  return wholeFile(opened);
}

/** A smaller file is no model: the smallest models of that time had 50 MB. */
const LEAST_OLD_BYTES = 1024 ** 2;

function openOldFormat(opened: OpenFile, format: string): Model {
  const { path, byteLength } = opened;
  const what = `${path} is in the format ${format}, from before GGUF, which current engines do not read`;
  if (byteLength >= LEAST_OLD_BYTES) return wholeFile(opened, [`${what}; taken as a whole`]);
  throw new PrefaultError(
    "PREFAULT_INVALID_MODEL",
    `${what}, and with ${formatBytes(byteLength)} too small to be a model`,
    { path },
  );
}

function notGguf(path: string, start: Buffer): PrefaultError {
  const found = isText(start) ? ` but with the text ${oneLine(start.toString("utf8"))}` : "";
  const empty = start.every((byte) => byte === 0)
    ? " but with zeros (an unfinished download?)"
    : "";
  return new PrefaultError(
    "PREFAULT_INVALID_MODEL",
    `${path} is not a usable GGUF: it does not begin with GGUF${found || empty}`,
    { path },
  );
}
