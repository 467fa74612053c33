import type { FileHandle } from "node:fs/promises";
import { abortError } from "../errors.ts";

export const BUFFER_BYTES = 256 * 1024;

/** What is past the end of a file. */
export class PastEnd extends Error {}

export interface CursorOptions {
  /** Where to begin, in bytes from the start of the file. @defaultValue `0` */
  readonly start?: number;
  /** Ends the reading before the next part of the file is asked for. */
  readonly signal?: AbortSignal | undefined;
}

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
  #offset: number;
  readonly #start: number;
  readonly #signal: AbortSignal | undefined;

  /** @param end where the file ends, or what is read of it */
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

  /** Bytes from where it began. */
  get readBytes(): number {
    return this.#offset - this.#start;
  }

  get leftBytes(): number {
    return this.#fileBytes - this.#offset;
  }

  /** Whether {@link need} has nothing to wait for. */
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
