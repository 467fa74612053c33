import { ggmlByteLength, ggmlTypeName, isSettled } from "./ggml-types.ts";
import type { GgufTensorInfo } from "./gguf-header.ts";
import { BadHeader } from "./gguf-values.ts";
import type { ModelFile, Tensor } from "./model.ts";

/** The place of the tensor data in a GGUF's file, in bytes. */
export interface DataSpan {
  readonly start: number;
  /** Where the file ends, or the GGUF within it. */
  readonly end: number;
  readonly alignment: number;
}

/** A tensor with its place in the file, and the distance to the next one. */
interface Placed {
  readonly info: GgufTensorInfo;
  /** By its type; `undefined` when that is unknown. */
  readonly known: ReturnType<typeof ggmlByteLength>;
  readonly offset: bigint;
  readonly room: bigint;
  /** No tensor follows: its room is the rest of the file. */
  readonly isLast: boolean;
}

/**
 * Gives each tensor of a file its place and its length, in the order of the header.
 *
 * The length follows from the type. For an unknown type, and for one whose known length contradicts the
 * offsets of the file (a fork may use its number for another type), it is the distance to the next tensor,
 * padding included, and a note says so.
 *
 * @throws {@link BadHeader} for a tensor that does not lie within the file
 */
export function placeTensors(
  infos: readonly GgufTensorInfo[],
  { start, end: endOffset, alignment }: DataSpan,
  { path }: ModelFile,
): { tensors: Tensor[]; notes: string[] } {
  const end = BigInt(endOffset);
  const placed = placesOf(infos, BigInt(start), end);
  const unknown = new Set(placed.filter((each) => isUnknown(each, alignment)).map(typeOf));
  const tensors = placed.map((each): Tensor => {
    const { info, offset, room } = each;
    const length = unknown.has(info.type) ? room : knownLength(each);
    // Compared as bigints: a hostile offset may be near 2^64.
    if (length < 0n || offset + length > end) {
      throw new BadHeader(
        `tensor ${info.name} ends at byte ${offset + length} of a file of ${end} ` +
          "(truncated, or still being downloaded?)",
      );
    }
    return {
      name: info.name,
      file: 0,
      offset: Number(offset),
      byteLength: Number(length),
      dtype: unknown.has(info.type) ? `type ${info.type}` : ggmlTypeName(info.type),
      shape: info.shape.map(Number),
    };
  });
  return { tensors, notes: [...unknown].map((type) => unknownNote(type, infos, path)) };
}

function placesOf(infos: readonly GgufTensorInfo[], start: bigint, end: bigint): Placed[] {
  const offsets = [...new Set(infos.map(({ offset }) => offset))].sort((one, other) =>
    one < other ? -1 : one > other ? 1 : 0,
  );
  const next = new Map(offsets.map((offset, at) => [offset, offsets[at + 1]]));
  return infos.map((info) => {
    const following = next.get(info.offset);
    const offset = start + info.offset;
    // The end of the file limits the room of every tensor.
    const limit = following === undefined || start + following > end ? end : start + following;
    const known = ggmlByteLength(info.type, info.shape);
    return { info, known, offset, room: limit - offset, isLast: following === undefined };
  });
}

/**
 * Whether the length of a tensor has to come from the offsets. For settled types the length counts even
 * where tensors overlap: an engine reads both by their types.
 */
function isUnknown({ info, known, room, isLast }: Placed, alignment: number): boolean {
  if (known === undefined) return true;
  if (isSettled(info.type) || isLast) return false;
  return known.least > room || room - known.most >= BigInt(alignment);
}

function knownLength({ known, room }: Placed): bigint {
  const { least, most } = known ?? { least: room, most: room };
  return most > room ? least : most;
}

function typeOf({ info }: Placed): number {
  return info.type;
}

function unknownNote(type: number, infos: readonly GgufTensorInfo[], path: string): string {
  const names = infos.filter((info) => info.type === type).map(({ name }) => name);
  const more = names.length > 1 ? ` and ${names.length - 1} more` : "";
  const why =
    ggmlByteLength(type, []) === undefined
      ? "is not known"
      : `is another than ${ggmlTypeName(type)}, by the offsets`;
  return `${path}: the tensor type ${type} of ${names[0]}${more} ${why}; their sizes are the distances to the next tensors`;
}
