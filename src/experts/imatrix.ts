import type { FileHandle } from "node:fs/promises";
import { abortError } from "../errors.ts";
import { type ExpertName, type ExpertPart, parseExpertName } from "../model/expert-names.ts";
import {
  BadHeader,
  type GgufHeader,
  type GgufTensorInfo,
  readGgufHeader,
} from "../model/gguf-header.ts";
import { PastEnd } from "../model/header-cursor.ts";
import type { MetadataValue } from "../model/model.ts";
import {
  invalidProfile,
  isWeight,
  MOST_CELLS,
  MOST_LAYERS,
  NO_ROW,
  type Profile,
} from "./profile.ts";
import { readRanges } from "./read-ranges.ts";
import { MOST_EXPERTS } from "./routed-layers.ts";

/** How often each matrix of a weight was used; and for each the sums that quantising needs. */
const COUNTS = ".counts";
const SUMS = ".in_sum2";

/** GGML's number of F32, the one type an imatrix has. */
const F32 = 0;

/** Whose counts are taken where they differ: as a rule they do not. */
const PREFERENCE: readonly ExpertPart[] = ["gate", "up", "down", "gate_up", "other"];

/**
 * Reads the counts of an imatrix in GGUF (`general.type` is "imatrix"): for each weight that was
 * multiplied, `<tensor>.counts` says how often each of its matrices was used. For a stacked tensor of
 * routed experts these are the router's choices.
 *
 * Of a file of some 190 MB the header and about 200 KB are read.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION`, `PREFAULT_ABORTED`
 */
export async function readImatrix(
  handle: FileHandle,
  path: string,
  fileBytes: number,
  signal: AbortSignal | undefined,
): Promise<Profile> {
  const header = await readHeader(handle, path, fileBytes);
  const { metadata } = header;
  if (metadata["general.type"] !== "imatrix") throw invalidProfile(path, whyNoImatrix(header));
  if (signal?.aborted === true) throw abortError(signal);
  const tensors = countTensors(header, path, fileBytes);
  const buffers = await readRanges(handle, tensors, signal);
  const counted = tensors.map((tensor, index) => {
    return { ...tensor, counts: countsOf(buffers[index], tensor, header.littleEndian, path) };
  });
  const { weights, notes } = rowsOf(counted, path);
  return {
    source: "imatrix",
    layers: weights.length,
    experts: weights.reduce((most, row) => Math.max(most, row.length), 0),
    samples: samplesOf(metadata),
    weights,
    model: null,
    inputLengths: inputLengths(header),
    notes,
    path,
  };
}

async function readHeader(
  handle: FileHandle,
  path: string,
  fileBytes: number,
): Promise<GgufHeader> {
  try {
    return await readGgufHeader(handle, fileBytes);
  } catch (cause) {
    if (cause instanceof BadHeader)
      throw invalidProfile(path, `a GGUF, but ${cause.message}`, cause);
    if (!(cause instanceof PastEnd)) throw cause;
    const cutOff = "is it cut off, or still being downloaded?";
    throw invalidProfile(
      path,
      `its header does not end in its ${fileBytes} bytes (${cutOff})`,
      cause,
    );
  }
}

function whyNoImatrix({ metadata }: GgufHeader): string {
  const architecture = metadata["general.architecture"];
  const what =
    typeof architecture === "string"
      ? `it is a model (${architecture.slice(0, 40)})`
      : `it is a GGUF of the type ${JSON.stringify(String(metadata["general.type"])).slice(0, 40)}`;
  return `${what}; a profile in GGUF has the general.type "imatrix"`;
}

/** Counts of one tensor's experts, and where they lie. */
interface CountTensor {
  /** Of the weight that was counted. */
  readonly tensor: string;
  readonly name: ExpertName;
  readonly experts: number;
  readonly offset: number;
  readonly byteLength: number;
}

function countTensors(header: GgufHeader, path: string, fileBytes: number): CountTensor[] {
  const start = BigInt(Math.ceil(header.end / header.alignment) * header.alignment);
  const found: CountTensor[] = [];
  let cells = 0;
  for (const info of header.tensors) {
    if (!info.name.endsWith(COUNTS)) continue;
    const tensor = info.name.slice(0, -COUNTS.length);
    const name = parseExpertName(tensor);
    // Chunks are shared by experts, whose own counts say more.
    if (name === undefined || name.isChunk) continue;
    const experts = matricesOf(info, path);
    if (name.expert === undefined && experts === 1) {
      throw invalidProfile(
        path,
        `${tensor} has one count for all its experts: an imatrix that was converted from the old ` +
          "format (.dat), which has no counts for each expert",
      );
    }
    if (name.block >= MOST_LAYERS || (name.expert ?? 0) >= MOST_EXPERTS) {
      throw invalidProfile(path, `there is no tensor ${tensor} in any model`);
    }
    cells += experts;
    if (cells > MOST_CELLS) throw invalidProfile(path, `it has more than ${MOST_CELLS} counts`);
    const offset = start + info.offset;
    const byteLength = 4 * experts;
    // Compared as integers of any size: a hostile offset may be near 2^64.
    if (offset + BigInt(byteLength) > BigInt(fileBytes)) {
      throw invalidProfile(
        path,
        `${info.name} ends past the ${fileBytes} bytes of the file ` +
          "(is it cut off, or still being downloaded?)",
      );
    }
    found.push({ tensor, name, experts, offset: Number(offset), byteLength });
  }
  if (found.length > 0) return found;
  throw invalidProfile(
    path,
    "it is an imatrix without counts of routed experts: of a dense model, as it seems",
  );
}

/** `[1, matrices]`, or `[matrices]`. */
function matricesOf({ name, shape, type }: GgufTensorInfo, path: string): number {
  const count = shape.reduce((product, length) => product * length, 1n);
  const last = shape.at(-1) ?? 0n;
  if (type === F32 && count === last && count >= 1n && count <= MOST_EXPERTS) return Number(count);
  throw invalidProfile(path, `${name} has the shape [${shape.join(", ")}] and the type ${type}`);
}

function countsOf(
  bytes: Uint8Array | undefined,
  { tensor, experts }: CountTensor,
  littleEndian: boolean,
  path: string,
): Float64Array {
  if (bytes === undefined) throw invalidProfile(path, `${tensor}${COUNTS} could not be read whole`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float64Array.from({ length: experts }, (_, expert) => {
    const count = view.getFloat32(4 * expert, littleEndian);
    if (isWeight(count)) return count;
    throw invalidProfile(path, `${tensor}${COUNTS} says ${count} of expert ${expert}`);
  });
}

/** One row a block, from the part that is preferred among those it has. */
function rowsOf(
  counted: readonly (CountTensor & { readonly counts: Float64Array })[],
  path: string,
): { weights: Float64Array[]; notes: string[] } {
  const blocks = new Map<number, Map<ExpertPart, Float64Array>>();
  const experts = new Map<number, number>();
  for (const { name, experts: stacked } of counted) {
    const most = name.expert === undefined ? stacked : name.expert + 1;
    experts.set(name.block, Math.max(experts.get(name.block) ?? 0, most));
  }
  const cells = [...experts.values()].reduce((sum, each) => sum + each, 0);
  if (cells > MOST_CELLS) throw invalidProfile(path, `it has more than ${MOST_CELLS} experts`);
  for (const { name, counts } of counted) {
    const parts = blocks.get(name.block) ?? new Map<ExpertPart, Float64Array>();
    blocks.set(name.block, parts);
    if (name.expert === undefined) {
      parts.set(name.part, counts);
    } else {
      const row = parts.get(name.part) ?? new Float64Array(experts.get(name.block) ?? 0);
      parts.set(name.part, row);
      row[name.expert] = counts[0] ?? 0;
    }
  }
  const weights: Float64Array[] = [];
  let differing = 0;
  for (const [block, parts] of blocks) {
    const rows = PREFERENCE.flatMap((part) => parts.get(part) ?? []);
    const [row = NO_ROW, ...others] = rows;
    while (weights.length <= block) weights.push(NO_ROW);
    weights[block] = row;
    if (others.some((other) => !isSame(row, other))) differing++;
  }
  const notes =
    differing === 0
      ? []
      : [
          `in ${differing} of ${blocks.size} layers of ${path} gate, up and down were counted ` +
            "differently; the counts of the first of them are used",
        ];
  return { weights, notes };
}

function isSame(a: Float64Array, b: Float64Array): boolean {
  return a.length === b.length && a.every((weight, index) => weight === b[index]);
}

/** Tokens: chunks of so many. `null` when the file does not say. */
function samplesOf(metadata: GgufHeader["metadata"]): number | null {
  const [chunks, size] = ["imatrix.chunk_count", "imatrix.chunk_size"].map((key) =>
    asCount(metadata[key]),
  );
  const tokens = (chunks ?? 0) * (size ?? 0);
  return tokens > 0 && Number.isSafeInteger(tokens) ? tokens : null;
}

function asCount(value: MetadataValue | undefined): number {
  const count = typeof value === "bigint" ? Number(value) : value;
  return typeof count === "number" && Number.isSafeInteger(count) && count > 0 ? count : 0;
}

/** `<tensor>.in_sum2` has one sum for each input of each expert: `[inputs, matrices]`. */
function inputLengths({ tensors }: GgufHeader): Map<string, number> {
  const lengths = new Map<string, number>();
  for (const { name, shape } of tensors) {
    if (!name.endsWith(SUMS)) continue;
    const tensor = name.slice(0, -SUMS.length);
    if (parseExpertName(tensor) !== undefined) lengths.set(tensor, Number(shape[0] ?? 0n));
  }
  return lengths;
}
