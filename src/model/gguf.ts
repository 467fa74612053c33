import { basename } from "node:path";
import { PrefaultError } from "../errors.ts";
import type { FileSet } from "../file/file-set.ts";
import { asFileError, type OpenFile } from "../file/open-file.ts";
import { expectDistinct } from "./distinct.ts";
import { BadHeader, type GgufHeader, readGgufHeader } from "./gguf-header.ts";
import { type DataSpan, placeTensors } from "./gguf-tensors.ts";
import { PastEnd } from "./header-cursor.ts";
import { kindOf } from "./kind.ts";
import type { Model, ModelFile, Tensor } from "./model.ts";
import { expectContents, modelFile } from "./model-file.ts";
import { findShards, hasShardName, type Shard, type SplitFacts, splitFacts } from "./split.ts";

/** ggml.h, `GGUF_DEFAULT_ALIGNMENT`. */
const DEFAULT_ALIGNMENT = 32;

const MAGIC = "GGUF";
/** Magic, version and two counts: what has fewer bytes is no GGUF. */
const LEAST_BYTES = 24;

/** Files that were cut by `split` and not by llama-gguf-split. */
const CUT_NAME = /(\.part\d+of\d+|[.-]split-?[a-z]{1,2}|\.[a-z]{2}|\.\d{3})$/i;

export interface GgufOptions {
  readonly signal?: AbortSignal | undefined;
  /** Where the other shards are opened. */
  readonly files: FileSet;
  /** Where the GGUF lies within the file, in bytes. @defaultValue the whole of it */
  readonly within?: { readonly start: number; readonly byteLength: number };
}

/** A file with its header, read. Its tensors are in the order of the header, as of file 0. */
interface GgufFile extends Shard {
  readonly metadata: Model["metadata"];
  readonly tensors: readonly Tensor[];
  readonly notes: readonly string[];
}

/**
 * Reads the header of a GGUF model, of all its shards whichever one is given.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_MODEL`, `PREFAULT_MISSING_SHARD`, and what
 *   {@link FileSet.open} throws
 */
export async function openGguf(opened: OpenFile, options: GgufOptions): Promise<Model> {
  const own = await readFile(opened, options);
  const shards = await findShards(own, (path) => readShard(path, options));
  const tensors = shards.flatMap((shard, file) =>
    shard.tensors.map((tensor) => (file === 0 ? tensor : { ...tensor, file })),
  );
  expectDistinct(tensors, opened.path);
  tensors.sort((a, b) => a.file - b.file || a.offset - b.offset);
  const metadata = shards[0]?.metadata ?? {};
  return {
    format: "gguf",
    files: shards.map(({ file }) => file),
    tensors,
    metadata,
    kind: kindOf({ metadata, tensors }),
    notes: [...foundNote(opened.path, shards), ...shards.flatMap(({ notes }) => notes)],
  };
}

/** Shards that no name led to. */
function foundNote(path: string, shards: readonly GgufFile[]): string[] {
  if (shards.length === 1 || hasShardName(path)) return [];
  const others = shards.flatMap(({ file }) => (file.path === path ? [] : [basename(file.path)]));
  return [`${path} is one shard of ${shards.length}; the others are ${others.join(", ")}`];
}

/** @returns `null` for what is not there */
async function readShard(path: string, { files, signal }: GgufOptions): Promise<GgufFile | null> {
  const opened = await files.open(path).catch((error: unknown) => {
    if (PrefaultError.is(error) && error.code === "PREFAULT_NOT_FOUND") return null;
    throw error;
  });
  if (opened === null) return null;
  expectContents(opened);
  return readFile(opened, { files, signal });
}

async function readFile(opened: OpenFile, { signal, within }: GgufOptions): Promise<GgufFile> {
  const file = modelFile(opened);
  const from = within?.start ?? 0;
  const end = within === undefined ? file.byteLength : from + within.byteLength;
  const header = await readHeader(opened, from, end, signal);
  const alignment = alignmentOf(file, header);
  const aligned = (at: number) => from + Math.ceil((at - from) / alignment) * alignment;
  const span = { start: aligned(header.end), end, alignment };
  const split = splitOf(file, header);
  const { tensors, notes } = place(file, header, span);
  const dataEnd = tensors.reduce(
    (most, each) => Math.max(most, each.offset + each.byteLength),
    header.end,
  );
  for (const at of new Set([dataEnd, aligned(dataEnd)])) {
    if (await hasHeaderAt(opened, at, end)) throw joined(file, split, at);
  }
  const { metadata } = header;
  return { file, split, tensorCount: tensors.length, metadata, tensors, notes };
}

async function readHeader(
  { handle, path, byteLength }: OpenFile,
  start: number,
  end: number,
  signal: AbortSignal | undefined,
): Promise<GgufHeader> {
  try {
    return await readGgufHeader(handle, end, { start, signal });
  } catch (cause) {
    if (cause instanceof BadHeader) throw invalid(path, cause.message, cause);
    if (!(cause instanceof PastEnd)) throw asFileError(cause, path);
    const cut = "(truncated, or still being downloaded?)";
    throw invalid(path, `its header does not end in a file of ${byteLength} bytes ${cut}`);
  }
}

function alignmentOf({ path }: ModelFile, { metadata }: GgufHeader): number {
  const alignment = metadata["general.alignment"] ?? DEFAULT_ALIGNMENT;
  if (typeof alignment === "number" && alignment >= 1 && Number.isInteger(Math.log2(alignment))) {
    return alignment;
  }
  throw invalid(path, `its general.alignment is ${alignment}`);
}

function splitOf({ path }: ModelFile, { metadata }: GgufHeader): SplitFacts | null {
  try {
    return splitFacts(metadata);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw invalid(path, cause.message, cause);
  }
}

function place(file: ModelFile, { tensors }: GgufHeader, span: DataSpan) {
  try {
    return placeTensors(tensors, span, file);
  } catch (cause) {
    if (!(cause instanceof BadHeader)) throw cause;
    const isCut = CUT_NAME.test(basename(file.path));
    const join = "; it looks like one piece of a file that was cut: join the pieces by cat";
    throw invalid(file.path, cause.message + (isCut ? join : ""), cause);
  }
}

async function hasHeaderAt({ handle }: OpenFile, at: number, end: number): Promise<boolean> {
  if (at + LEAST_BYTES > end) return false;
  const magic = Buffer.alloc(MAGIC.length);
  await handle.read(magic, 0, magic.length, at);
  return magic.toString("latin1") === MAGIC;
}

/**
 * Shards of llama-gguf-split that were put together by `cat` have the header of the first, and the
 * others lie behind its tensors where no engine looks.
 */
function joined({ path }: ModelFile, split: SplitFacts | null, at: number): PrefaultError {
  const parts =
    split === null ? "several GGUF files" : `the ${split.count} shards of a split model`;
  return invalid(
    path,
    `it is ${parts} put together by cat: another GGUF begins at byte ${at}, which no engine reads. ` +
      "Merge the original shards by llama-gguf-split --merge",
  );
}

function invalid(path: string, why: string, cause?: unknown): PrefaultError {
  return new PrefaultError("PREFAULT_INVALID_MODEL", `${path} is not a usable GGUF: ${why}`, {
    path,
    cause,
  });
}
