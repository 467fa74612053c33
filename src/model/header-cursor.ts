import type { FileHandle } from "node:fs/promises";
import { abortError } from "../errors.ts";

export const BUFFER_BYTES = 256 * 1024;

/** A read past the end of the file. */
export class PastEnd extends Error {}

export interface CursorOptions {
  /** The start of the header, in bytes from the start of the file. @defaultValue `0` */
  readonly start?: number;
  /** Ends the reading before the next part of the file is asked for. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a header from front to back through a buffer of 256 KiB. {@link HeaderCursor.need} waits until
 * bytes are in the buffer, and the other methods take them synchronously.
 */
export class HeaderCursor {
  littleEndian = true;
  readonly #handle: FileHandle;
  readonly #fileBytes: number;
  #view: DataView;
  /** The range of the file that is in the buffer. */
  #from = 0;
  #to = 0;
  #offset: number;
  readonly #start: number;
  readonly #signal: AbortSignal | undefined;

  /** @param end of the file, or of the part of it that may be read */
  constructor(handle: FileHandle, end: number, { start = 0, signal }: CursorOptions = {}) {
    this.#handle = handle;
    this.#fileBytes = end;
    this.#start = start;
    this.#offset = start;
    this.#signal = signal;
    this.#view = new DataView(new ArrayBuffer(Math.min(BUFFER_BYTES, Math.max(end - start, 0))));
  }

  /** Bytes from the start of the file. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes from the start of the header. */
  get readBytes(): number {
    return this.#offset - this.#start;
  }

  get leftBytes(): number {
    return this.#fileBytes - this.#offset;
  }

  /** Whether so many bytes are in the buffer. */
  has(bytes: number): boolean {
    return this.#offset + bytes <= this.#to;
  }

  /** @throws {@link PastEnd}, and `PREFAULT_ABORTED` */
  async need(bytes: number): Promise<void> {
    if (this.has(bytes)) return;
    if (this.#signal?.aborted) throw abortError(this.#signal);
    if (bytes > this.leftBytes) throw new PastEnd();
    const size = Math.max(bytes, this.#view.byteLength);
    if (size > this.#view.byteLength) this.#view = new DataView(new ArrayBuffer(size));
    const buffer = new Uint8Array(this.#view.buffer);
    const most = Math.min(size, this.leftBytes);
    const { bytesRead } = await this.#handle.read(buffer, 0, most, this.#offset);
    this.#from = this.#offset;
    this.#to = this.#offset + bytesRead;
    if (bytesRead < bytes) throw new PastEnd();
  }

  /** Takes the next bytes. @param read gets the view, the place and the byte order of the file */
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
