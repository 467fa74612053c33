import type { FileHandle } from "node:fs/promises";

const BUFFER_BYTES = 256 * 1024;

/** What is past the end of a file. */
export class PastEnd extends Error {}

/**
 * Reads a header from front to back, through a small buffer. What {@link HeaderCursor.need} has said
 * is there can be taken synchronously.
 */
export class HeaderCursor {
  littleEndian = true;
  readonly #handle: FileHandle;
  readonly #fileBytes: number;
  #view: DataView;
  /** Which bytes of the file the view shows, and how far it has been read. */
  #from = 0;
  #to = 0;
  #offset = 0;

  constructor(handle: FileHandle, fileBytes: number) {
    this.#handle = handle;
    this.#fileBytes = fileBytes;
    this.#view = new DataView(new ArrayBuffer(Math.min(BUFFER_BYTES, fileBytes)));
  }

  /** Bytes from the start of the file. */
  get offset(): number {
    return this.#offset;
  }

  get leftBytes(): number {
    return this.#fileBytes - this.#offset;
  }

  /** Whether {@link need} has nothing to wait for. */
  has(bytes: number): boolean {
    return this.#offset + bytes <= this.#to;
  }

  /** @throws {@link PastEnd} */
  async need(bytes: number): Promise<void> {
    if (this.has(bytes)) return;
    if (bytes > this.leftBytes) throw new PastEnd();
    const size = Math.max(bytes, this.#view.byteLength);
    if (size > this.#view.byteLength) this.#view = new DataView(new ArrayBuffer(size));
    const buffer = new Uint8Array(this.#view.buffer);
    const { bytesRead } = await this.#handle.read(buffer, 0, size, this.#offset);
    this.#from = this.#offset;
    this.#to = this.#offset + bytesRead;
    if (bytesRead < bytes) throw new PastEnd();
  }

  /** The next so many bytes, as a view with the byte order of the file. */
  take<T>(bytes: number, read: (view: DataView, at: number, littleEndian: boolean) => T): T {
    const value = read(this.#view, this.#offset - this.#from, this.littleEndian);
    this.#offset += bytes;
    return value;
  }

  u32(): number {
    return this.take(4, (view, at, little) => view.getUint32(at, little));
  }

  u64(): bigint {
    return this.take(8, (view, at, little) => view.getBigUint64(at, little));
  }

  text(bytes: number): string {
    return this.take(bytes, (view, at) => Buffer.from(view.buffer, at, bytes).toString("utf8"));
  }
}
