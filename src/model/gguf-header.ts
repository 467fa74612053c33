import type { FileHandle } from "node:fs/promises";
import { BadHeader, GgufValues } from "./gguf-values.ts";
import { type CursorOptions, HeaderCursor } from "./header-cursor.ts";
import type { MetadataValue } from "./model.ts";

export { BadHeader } from "./gguf-values.ts";

/** More than any model has: all experts of a layer are one tensor. */
const MOST_TENSORS = 200_000;
const MOST_ENTRIES = 100_000;

/** The format's own bound on a key (gguf.md); a tensor's name is 64 bytes at most (ggml.h). */
const MOST_NAME_BYTES = 65_535;

/** ggml.h, `GGUF_DEFAULT_ALIGNMENT`. */
const DEFAULT_ALIGNMENT = 32;

/** Twice `GGML_MAX_DIMS` of ggml.h. */
const MOST_DIMENSIONS = 8;

export interface GgufTensorInfo {
  readonly name: string;
  readonly shape: readonly bigint[];
  /** GGML's number of the element type. */
  readonly type: number;
  /** Bytes from the start of the tensor data. */
  readonly offset: bigint;
}

export interface GgufHeader {
  readonly metadata: Readonly<Record<string, MetadataValue>>;
  readonly tensors: readonly GgufTensorInfo[];
  /** Where the header ends, in bytes. */
  readonly end: number;
  /** The tensor data begins at the next multiple of it. A power of two. */
  readonly alignment: number;
  readonly littleEndian: boolean;
}

/**
 * Reads a GGUF header in small steps, and checks every number: what a header describes must lie in the
 * file, and have a size that a model can have.
 *
 * Not with `@huggingface/gguf`, which reads zeros past the end of a file, allocates as much memory as a
 * header asks for, and starts an array again whenever it needs more of the file: a vocabulary blocks the
 * thread for a second.
 *
 * @throws {@link BadHeader}, and `PastEnd` for one that does not end inside its file
 */
export async function readGgufHeader(
  handle: FileHandle,
  fileBytes: number,
  options: CursorOptions = {},
): Promise<GgufHeader> {
  const reader = new HeaderReader(new HeaderCursor(handle, fileBytes, options));
  const { tensors, entries } = await reader.counts();
  const metadata = await reader.metadata(entries);
  return {
    metadata,
    tensors: await reader.tensors(tensors),
    end: reader.offset,
    alignment: alignmentOf(metadata),
    littleEndian: reader.littleEndian,
  };
}

function alignmentOf(metadata: GgufHeader["metadata"]): number {
  const alignment = metadata["general.alignment"] ?? DEFAULT_ALIGNMENT;
  if (typeof alignment === "number" && alignment >= 1 && Number.isInteger(Math.log2(alignment))) {
    return alignment;
  }
  throw new BadHeader(`its general.alignment is ${String(alignment).slice(0, 40)}`);
}

class HeaderReader {
  readonly #cursor: HeaderCursor;
  readonly #values: GgufValues;

  constructor(cursor: HeaderCursor) {
    this.#cursor = cursor;
    this.#values = new GgufValues(cursor);
  }

  get offset(): number {
    return this.#cursor.offset;
  }

  get littleEndian(): boolean {
    return this.#cursor.littleEndian;
  }

  async counts(): Promise<{ tensors: bigint; entries: bigint }> {
    const cursor = this.#cursor;
    await cursor.need(8);
    if (cursor.text(4) !== "GGUF") throw new BadHeader("it does not begin with GGUF");
    // In a big-endian file the first two bytes of a small version are 0.
    cursor.littleEndian = cursor.take(0, (view, at) => view.getUint16(at, true)) !== 0;
    const version = cursor.u32();
    if (version < 1 || version > 3) throw new BadHeader(`its version is ${version}`);
    const wordBytes = version === 1 ? 4 : 8;
    this.#values.wordBytes = wordBytes;
    const tensors = await this.#values.word();
    const entries = await this.#values.word();
    this.#values.expect("tensors", tensors, MOST_TENSORS, wordBytes + 16);
    this.#values.expect("metadata entries", entries, MOST_ENTRIES, wordBytes + 5);
    return { tensors, entries };
  }

  async metadata(entries: bigint): Promise<Record<string, MetadataValue>> {
    const metadata = new Map<string, MetadataValue>();
    for (let left = entries; left > 0n; left--) {
      const key = await this.#values.text(MOST_NAME_BYTES);
      if (metadata.has(key)) throw new BadHeader(`it has two entries ${key}`);
      await this.#values.need(4);
      metadata.set(key, await this.#values.value(this.#cursor.u32(), 0));
    }
    return Object.fromEntries(metadata);
  }

  async tensors(count: bigint): Promise<GgufTensorInfo[]> {
    const tensors: GgufTensorInfo[] = [];
    for (let left = count; left > 0n; left--) {
      const name = await this.#values.text(MOST_NAME_BYTES);
      await this.#values.need(4);
      const dimensions = this.#cursor.u32();
      if (dimensions > MOST_DIMENSIONS) {
        throw new BadHeader(`tensor ${name} has ${dimensions} dimensions`);
      }
      const shape: bigint[] = [];
      while (shape.length < dimensions) shape.push(await this.#values.word());
      await this.#values.need(12);
      tensors.push({ name, shape, type: this.#cursor.u32(), offset: this.#cursor.u64() });
    }
    return tensors;
  }
}
