import type { FileHandle } from "node:fs/promises";
import { type CursorOptions, HeaderCursor } from "./header-cursor.ts";
import type { MetadataValue } from "./model.ts";

/** More than any model has: all experts of a layer are one tensor. */
const MOST_TENSORS = 200_000;
const MOST_ENTRIES = 100_000;

/** More than the largest vocabularies with all their merges and scores, about 1.5 million. */
const MOST_VALUES = 4_000_000;

/** The largest headers have about 20 MB. */
const MOST_HEADER_BYTES = 64_000_000;

/** The format's own bound on a key (gguf.md); a tensor's name is 64 bytes at most (ggml.h). */
const MOST_NAME_BYTES = 65_535;

/** ggml.h's `GGML_MAX_DIMS` is half of it. Of arrays in arrays none is known. */
const MOST_DIMENSIONS = 8;
const MOST_DEPTH = 4;

type Read = (view: DataView, at: number, littleEndian: boolean) => MetadataValue;

/** Bytes of a value by its type's number, and how it is read; strings and arrays say it themselves. */
const SCALARS: Readonly<Record<number, readonly [bytes: number, read: Read]>> = {
  0: [1, (view, at) => view.getUint8(at)],
  1: [1, (view, at) => view.getInt8(at)],
  2: [2, (view, at, little) => view.getUint16(at, little)],
  3: [2, (view, at, little) => view.getInt16(at, little)],
  4: [4, (view, at, little) => view.getUint32(at, little)],
  5: [4, (view, at, little) => view.getInt32(at, little)],
  6: [4, (view, at, little) => view.getFloat32(at, little)],
  7: [1, (view, at) => view.getUint8(at) !== 0],
  10: [8, (view, at, little) => view.getBigUint64(at, little)],
  11: [8, (view, at, little) => view.getBigInt64(at, little)],
  12: [8, (view, at, little) => view.getFloat64(at, little)],
};
const STRING = 8;
const ARRAY = 9;

/** A header that says what cannot be, with the reason in words. */
export class BadHeader extends Error {}

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
}

/**
 * Reads a GGUF header in small steps, and believes nothing: what it claims has to lie in the file,
 * and to be of a size a model can have.
 *
 * Not by `@huggingface/gguf`, which reads zeros past the end of a file, allocates by what is claimed,
 * and starts an array over whenever it has to read on: a vocabulary blocks the thread for a second.
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
  return {
    metadata: await reader.metadata(entries),
    tensors: await reader.tensors(tensors),
    end: reader.offset,
  };
}

class HeaderReader {
  readonly #cursor: HeaderCursor;
  /** Of counts, lengths and dimensions: version 1 had smaller ones. */
  #wordBytes: 4 | 8 = 8;
  #values = 0n;

  constructor(cursor: HeaderCursor) {
    this.#cursor = cursor;
  }

  get offset(): number {
    return this.#cursor.offset;
  }

  async counts(): Promise<{ tensors: bigint; entries: bigint }> {
    const cursor = this.#cursor;
    await cursor.need(8);
    if (cursor.text(4) !== "GGUF") throw new BadHeader("it does not begin with GGUF");
    // In the other byte order a small number looks large.
    cursor.littleEndian = cursor.take(0, (view, at) => view.getUint16(at, true)) !== 0;
    const version = cursor.u32();
    if (version < 1 || version > 3) throw new BadHeader(`its version is ${version}`);
    this.#wordBytes = version === 1 ? 4 : 8;
    const tensors = await this.#word();
    const entries = await this.#word();
    this.#expect("tensors", tensors, MOST_TENSORS, this.#wordBytes + 16);
    this.#expect("metadata entries", entries, MOST_ENTRIES, this.#wordBytes + 5);
    return { tensors, entries };
  }

  async metadata(entries: bigint): Promise<Record<string, MetadataValue>> {
    const metadata = new Map<string, MetadataValue>();
    for (let left = entries; left > 0n; left--) {
      const key = await this.#text(MOST_NAME_BYTES);
      if (metadata.has(key)) throw new BadHeader(`it has two entries ${key}`);
      await this.#need(4);
      metadata.set(key, await this.#value(this.#cursor.u32(), 0));
    }
    return Object.fromEntries(metadata);
  }

  async tensors(count: bigint): Promise<GgufTensorInfo[]> {
    const tensors: GgufTensorInfo[] = [];
    for (let left = count; left > 0n; left--) {
      const name = await this.#text(MOST_NAME_BYTES);
      await this.#need(4);
      const dimensions = this.#cursor.u32();
      if (dimensions > MOST_DIMENSIONS) {
        throw new BadHeader(`tensor ${name} has ${dimensions} dimensions`);
      }
      const shape: bigint[] = [];
      while (shape.length < dimensions) shape.push(await this.#word());
      await this.#need(12);
      tensors.push({ name, shape, type: this.#cursor.u32(), offset: this.#cursor.u64() });
    }
    return tensors;
  }

  async #value(type: number, depth: number): Promise<MetadataValue> {
    if (type === STRING) return this.#text(MOST_HEADER_BYTES);
    if (type === ARRAY) return this.#array(depth + 1);
    const [bytes, read] = SCALARS[type] ?? [];
    if (bytes === undefined || read === undefined) {
      throw new BadHeader(`a value has the unknown type ${type}`);
    }
    await this.#need(bytes);
    return this.#cursor.take(bytes, read);
  }

  async #array(depth: number): Promise<MetadataValue[]> {
    if (depth > MOST_DEPTH) throw new BadHeader("it has arrays in arrays in arrays");
    await this.#need(4);
    const type = this.#cursor.u32();
    const count = await this.#word();
    const [bytes, read] = SCALARS[type] ?? [];
    this.#values += count;
    this.#expect("values in arrays", this.#values, MOST_VALUES, 0);
    this.#expect("values in an array", count, MOST_VALUES, bytes ?? this.#wordBytes);
    const values: MetadataValue[] = [];
    for (let left = count; left > 0n; left--) {
      // Whatever is in the buffer is read without waiting: there are millions of them.
      if (bytes === undefined || read === undefined || !this.#cursor.has(bytes)) {
        const text = type === STRING ? this.#textNow(MOST_HEADER_BYTES) : undefined;
        values.push(text ?? (await this.#value(type, depth)));
      } else {
        values.push(this.#cursor.take(bytes, read));
      }
    }
    return values;
  }

  async #text(mostBytes: number): Promise<string> {
    const now = this.#textNow(mostBytes);
    if (now !== undefined) return now;
    const bytes = await this.#word();
    expectShort(bytes, mostBytes);
    await this.#need(Number(bytes));
    return this.#cursor.text(Number(bytes));
  }

  /** A text, if all of it is in the buffer: to wait for each of a vocabulary would take longer. */
  #textNow(mostBytes: number): string | undefined {
    const wordBytes = this.#wordBytes;
    if (!this.#cursor.has(wordBytes)) return undefined;
    const bytes = this.#cursor.take(0, (view, at, little) =>
      wordBytes === 4 ? view.getUint32(at, little) : Number(view.getBigUint64(at, little)),
    );
    expectShort(bytes, mostBytes);
    if (!this.#cursor.has(wordBytes + bytes)) return undefined;
    this.#cursor.take(wordBytes, () => {});
    return this.#cursor.text(bytes);
  }

  async #need(bytes: number): Promise<void> {
    if (this.#cursor.readBytes + bytes > MOST_HEADER_BYTES) throw new BadHeader("it is too long");
    await this.#cursor.need(bytes);
  }

  async #word(): Promise<bigint> {
    await this.#need(this.#wordBytes);
    return this.#wordBytes === 4 ? BigInt(this.#cursor.u32()) : this.#cursor.u64();
  }

  #expect(what: string, count: bigint, most: number, leastBytes: number): void {
    const fits = count <= most && count * BigInt(leastBytes) <= this.#cursor.leftBytes;
    if (!fits) throw new BadHeader(`it claims ${count} ${what}`);
  }
}

function expectShort(bytes: number | bigint, mostBytes: number): void {
  if (bytes > mostBytes) throw new BadHeader(`a text has ${bytes} bytes`);
}
