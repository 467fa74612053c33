import { basename } from "node:path";
import { PrefaultError } from "../errors.ts";
import type { FileSet } from "../file/file-set.ts";
import { asFileError, type OpenFile } from "../file/open-file.ts";
import { expectDistinct } from "./distinct.ts";
import { type GgufHeader, readGgufHeader } from "./gguf-header.ts";
import { type DataSpan, placeTensors } from "./gguf-tensors.ts";
import { BadHeader } from "./gguf-values.ts";
import { PastEnd } from "./header-cursor.ts";
import { kindOf } from "./kind.ts";
import type { Model, ModelFile, Tensor } from "./model.ts";
import { expectContents, modelFile } from "./model-file.ts";
import { type Shard, type SplitFacts, splitFacts } from "./shard.ts";
import { hasShardName } from "./shard-name.ts";
import { findShards } from "./split.ts";

const MAGIC = "GGUF";
/** Bytes of magic, version and two counts: the smallest GGUF. */
const LEAST_BYTES = 24;

/** Names of files that were cut by `split` and not by llama-gguf-split. */
const CUT_NAME = /(\.part\d+of\d+|[.-]split-?[a-z]{1,2}|\.[a-z]{2}|\.\d{3})$/i;

/** How a GGUF is opened. */
export interface GgufOptions {
  readonly signal?: AbortSignal | undefined;
  /** Opens the other shards, and keeps them open. */
  readonly files: FileSet;
  /** The bytes of the GGUF within its file, for one in an archive. @defaultValue the whole file */
  readonly within?: { readonly start: number; readonly byteLength: number };
}

/** A file with its parsed header. Its tensors are in the order of the header, with a `file` of 0. */
interface GgufFile extends Shard {
  readonly metadata: Model["metadata"];
  readonly tensors: readonly Tensor[];
  readonly notes: readonly string[];
}

/**
 * Reads the headers of a GGUF model: of all its shards, whichever one is given.
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

/** A note about shards that were found by their contents. */
function foundNote(path: string, shards: readonly GgufFile[]): string[] {
  if (shards.length === 1 || hasShardName(path)) return [];
  const others = shards.flatMap(({ file }) => (file.path === path ? [] : [basename(file.path)]));
  return [`${path} is one shard of ${shards.length}; the others are ${others.join(", ")}`];
}

/** @returns `null` for a path that leads nowhere */
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
  const { alignment } = header;
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
    const join = "; it looks like one part of a file that was cut: join the parts with cat";
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
 * Shards of llama-gguf-split that were joined with `cat` begin with the header of the first. The others
 * follow its tensors, where no engine reads them.
 */
function joined({ path }: ModelFile, split: SplitFacts | null, at: number): PrefaultError {
  const parts =
    split === null ? "several GGUF files" : `the ${split.count} shards of a split model`;
  return invalid(
    path,
    `it is ${parts} joined with cat: another GGUF begins at byte ${at}, which no engine reads. ` +
      "Merge the original shards with llama-gguf-split --merge",
  );
}

function invalid(path: string, why: string, cause?: unknown): PrefaultError {
  return new PrefaultError("PREFAULT_INVALID_MODEL", `${path} is not a usable GGUF: ${why}`, {
    path,
    cause,
  });
}
