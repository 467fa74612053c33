import { basename } from "node:path";
import { abortError, PrefaultError } from "../errors.ts";
import { FileSet } from "../file/file-set.ts";
import type { OpenFile } from "../file/open-file.ts";
import { formatBytes } from "../units.ts";
import { openGguf } from "./gguf.ts";
import type { Model } from "./model.ts";
import { expectContents, modelFile, unfinishedHint } from "./model-file.ts";
import { looksLikeSafetensors, openSafetensors, openSafetensorsIndex } from "./safetensors.ts";
import { standInOf } from "./stand-in.ts";
import { isText, oldFormatOf, oneLine, readStart } from "./text-file.ts";
import { readArchive } from "./zip.ts";

export interface OpenModelOptions {
  /** Ends the reading; the promise then rejects with `PREFAULT_ABORTED`. @defaultValue none */
  readonly signal?: AbortSignal | undefined;
}

export interface OpenPathOptions extends OpenModelOptions {
  /**
   * Take a damaged or incomplete model as the bytes it is, with a note: to look at it or to drop it
   * from the page cache needs no more. @defaultValue `false`
   */
  readonly asBytes?: boolean | undefined;
  /** Keeps the files open that are read. @defaultValue they are closed again */
  readonly files?: FileSet | undefined;
}

/** What a path turns out to be: a model, or a file that names others. */
export type Opened = { readonly model: Model } | { readonly leadsTo: readonly string[] };

/** A manifest in a Modelfile in a list of presets: no more is known of. */
const MOST_STEPS = 4;

/**
 * Reads what tensors a model has. What a file is, its contents say, and its name where they do not.
 * Holds nothing open afterwards.
 *
 * - a GGUF file: with all its shards, whichever one is named; a llamafile
 * - a safetensors file, or the index JSON of a sharded one: all shards
 * - an Ollama manifest, a Modelfile, an `.ini` of presets: the first model that it names
 * - any other file: one region, the whole of it
 *
 * @throws {@link PrefaultError} `PREFAULT_NOT_FOUND`, `PREFAULT_NOT_A_FILE`, `PREFAULT_PERMISSION`,
 *   `PREFAULT_INVALID_MODEL` (also for a pointer or a web page in place of a model),
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
  throw new PrefaultError(
    "PREFAULT_INVALID_MODEL",
    `${path} leads from file to file, and to no model`,
    {
      path,
    },
  );
}

/** For a manifest without weights. */
export function namesNothing(path: string): PrefaultError {
  return new PrefaultError(
    "PREFAULT_INVALID_MODEL",
    `${path} is a manifest that names no weights (a model in the cloud has none here)`,
    { path },
  );
}

/** Reads what a file is, and the other files of its model. @throws as {@link openModel} */
export async function openPath(path: string, options: OpenPathOptions = {}): Promise<Opened> {
  const { files = new FileSet(), signal, asBytes = false } = options;
  if (signal?.aborted) throw abortError(signal);
  try {
    return await read(await openNamed(path, files), { files, signal, asBytes });
  } finally {
    if (options.files === undefined) await files.close();
  }
}

/** How a file is read: every option, settled. */
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
    // What is no UTF-8 arrives as this character.
    const undecoded =
      "its name is not UTF-8, which Node.js cannot pass on: rename it, or link to it";
    const hint = path.includes("\ufffd") ? ` (${undecoded}?)` : await unfinishedHint(path);
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
    return { model: wholeFile(opened, [`${error.message}; taken as the bytes it is`]) };
  }
}

async function readModel(opened: OpenFile, start: Buffer, reading: Reading): Promise<Model> {
  const { path, byteLength } = opened;
  if (start.toString("latin1", 0, 4) === "GGUF") return openGguf(opened, reading);
  const inArchive = await readLlamafile(opened, start, reading);
  if (inArchive !== undefined) return inArchive;
  const old = oldFormatOf(start);
  if (old !== undefined) return openOldFormat(opened, old);
  // The header of any other file would be misread as the length of one.
  if (/\.safetensors$/i.test(path) || looksLikeSafetensors(start, byteLength)) {
    return openSafetensors(opened);
  }
  if (/\.gguf$/i.test(path)) throw notGguf(path, start);
  return wholeFile(opened);
}

/** Below this it is a test file or a scrap; the smallest model of that time had 50 MB. */
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

/** Executables of the systems that a llamafile runs on, zip archives, and scripts. */
const ARCHIVE_STARTS = ["MZ", "\x7fELF", "PK\x03\x04", "#!", "\xcf\xfa\xed\xfe"];

/**
 * The model in a llamafile, which is an executable and a zip archive with a GGUF stored in it. Of
 * several the largest is the model, and the others are its projectors.
 */
async function readLlamafile(
  opened: OpenFile,
  start: Buffer,
  reading: Reading,
): Promise<Model | undefined> {
  const { handle, byteLength, path } = opened;
  const head = start.toString("latin1", 0, 4);
  const mayBe = ARCHIVE_STARTS.some((each) => head.startsWith(each)) || /\.llamafile$/i.test(path);
  if (!mayBe) return undefined;
  const archive = await readArchive(handle, byteLength, /\.gguf$/i);
  const packed = archive?.compressed ?? [];
  const notes = packed.map((name) => `${path} holds ${name} compressed, which cannot be mapped`);
  const [largest, ...others] = [...(archive?.stored ?? [])].sort(
    (one, other) => other.byteLength - one.byteLength,
  );
  if (largest === undefined) return notes.length > 0 ? wholeFile(opened, notes) : undefined;
  const model = await openGguf(opened, { ...reading, within: largest });
  return {
    ...model,
    notes: [
      ...(model.notes ?? []),
      ...notes,
      ...others.map(({ name }) => `${path} also holds ${name}, whose tensors are not listed`),
    ],
  };
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

/** A file as a single tensor that bears its name. */
function wholeFile(opened: OpenFile, notes: readonly string[] = []): Model {
  const file = modelFile(opened);
  const whole = { name: basename(file.path), file: 0, offset: 0, byteLength: file.byteLength };
  const tensors = [{ ...whole, dtype: "bytes", shape: [file.byteLength] }];
  return { format: "file", files: [file], tensors, metadata: {}, kind: "model", notes };
}
