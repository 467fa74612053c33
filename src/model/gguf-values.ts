import type { HeaderCursor } from "./header-cursor.ts";
import type { MetadataValue } from "./model.ts";

/** The largest vocabularies with all their merges and scores have about 1.5 million. */
const MOST_VALUES = 4_000_000;

/** The largest headers have about 20 MB. */
const MOST_HEADER_BYTES = 64_000_000;

/** Of arrays in arrays no model is known. */
const MOST_DEPTH = 4;

type Read = (view: DataView, at: number, littleEndian: boolean) => MetadataValue;

/** Bytes of a value by its type's number, and how it is read. Strings and arrays have their own lengths. */
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

/** A header with impossible contents. The message gives the reason. */
export class BadHeader extends Error {}

/** Reads the values of a GGUF header one after another, and checks each size before it is used. */
export class GgufValues {
  /** Bytes of counts, lengths and dimensions: 8, but 4 in version 1. */
  wordBytes: 4 | 8 = 8;
  readonly #cursor: HeaderCursor;
  #values = 0n;

  constructor(cursor: HeaderCursor) {
    this.#cursor = cursor;
  }

  /** @param depth arrays around the value */
  async value(type: number, depth: number): Promise<MetadataValue> {
    if (type === STRING) return this.text(MOST_HEADER_BYTES);
    if (type === ARRAY) return this.#array(depth + 1);
    const [bytes, read] = SCALARS[type] ?? [];
    if (bytes === undefined || read === undefined) {
      throw new BadHeader(`a value has the unknown type ${type}`);
    }
    await this.need(bytes);
    return this.#cursor.take(bytes, read);
  }

  async #array(depth: number): Promise<MetadataValue[]> {
    if (depth > MOST_DEPTH) throw new BadHeader("it has arrays in arrays in arrays");
    await this.need(4);
    const type = this.#cursor.u32();
    const count = await this.word();
    const [bytes, read] = SCALARS[type] ?? [];
    this.#values += count;
    this.expect("values in arrays", this.#values, MOST_VALUES, 0);
    this.expect("values in an array", count, MOST_VALUES, bytes ?? this.wordBytes);
    const values: MetadataValue[] = [];
    for (let left = count; left > 0n; left--) {
      // Without `await` for values that are in the buffer, since there are millions of them.
      if (bytes === undefined || read === undefined || !this.#cursor.has(bytes)) {
        const text = type === STRING ? this.#textNow(MOST_HEADER_BYTES) : undefined;
        values.push(text ?? (await this.value(type, depth)));
      } else {
        values.push(this.#cursor.take(bytes, read));
      }
    }
    return values;
  }

  /** @throws {@link BadHeader} for a longer one */
  async text(mostBytes: number): Promise<string> {
    const now = this.#textNow(mostBytes);
    if (now !== undefined) return now;
    const bytes = await this.word();
    expectShort(bytes, mostBytes);
    await this.need(Number(bytes));
    return this.#cursor.text(Number(bytes));
  }

  /** A text, if all of it is in the buffer: to await each text of a vocabulary takes much longer. */
  #textNow(mostBytes: number): string | undefined {
    const wordBytes = this.wordBytes;
    if (!this.#cursor.has(wordBytes)) return undefined;
    const bytes = this.#cursor.take(0, (view, at, little) =>
      wordBytes === 4 ? view.getUint32(at, little) : Number(view.getBigUint64(at, little)),
    );
    expectShort(bytes, mostBytes);
    if (!this.#cursor.has(wordBytes + bytes)) return undefined;
    this.#cursor.take(wordBytes, () => {});
    return this.#cursor.text(bytes);
  }

  /** Waits until so many bytes are in the buffer. @throws {@link BadHeader}, `PastEnd` */
  async need(bytes: number): Promise<void> {
    if (this.#cursor.readBytes + bytes > MOST_HEADER_BYTES) throw new BadHeader("it is too long");
    await this.#cursor.need(bytes);
  }

  /** A count, a length or a dimension. */
  async word(): Promise<bigint> {
    await this.need(this.wordBytes);
    return this.wordBytes === 4 ? BigInt(this.#cursor.u32()) : this.#cursor.u64();
  }

  /** @throws {@link BadHeader} for a count that is too large, or whose items do not fit into the file */
  expect(what: string, count: bigint, most: number, leastBytes: number): void {
    const fits = count <= most && count * BigInt(leastBytes) <= this.#cursor.leftBytes;
    if (!fits) throw new BadHeader(`it claims ${count} ${what}`);
  }
}

function expectShort(bytes: number | bigint, mostBytes: number): void {
  if (bytes > mostBytes) throw new BadHeader(`a text has ${bytes} bytes`);
}
