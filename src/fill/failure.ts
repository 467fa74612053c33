import { fstatSync, readSync } from "node:fs";
import { SystemError } from "../../shims/index.ts";
import { errnoOf, messageOf } from "../describe.ts";
import type { PrefaultErrorCode } from "../errors.ts";
import type { FileSource } from "../file/open-file.ts";
import { MemoryRanShort } from "../memory/memory-watch.ts";
import { type Chunk, FileShrank, FillFailed } from "./filler.ts";

/**
 * A range that could not be filled, or a file that could not be opened: of that, zero bytes at 0. Plain data,
 * since an error loses its class when it is sent to another thread.
 */
export interface FailureReport {
  readonly path: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  /** Bytes that were not made resident. */
  readonly byteLength: number;
  readonly code: PrefaultErrorCode;
  readonly errno: string | undefined;
  /** What went wrong, in words. */
  readonly message: string;
}

/**
 * Describes why a chunk was not filled, from the first byte that is not resident to the chunk's end.
 *
 * @param file none when the chunk is memory that other code mapped
 * @param fileBytes the size of the file now; @defaultValue asked of the system, which may block
 */
export function describeFailure(
  error: unknown,
  chunk: Chunk,
  file: FileSource | undefined,
  fileBytes = file === undefined ? 0 : fstatSync(file.fd).size,
): FailureReport {
  if (error instanceof MemoryRanShort) return describeOutOfMemory(error.message, chunk, file);
  const path = file?.path ?? "";
  // POPULATE_READ fails with EFAULT both past the end of a file that shrank and on a failed read.
  if (error instanceof FileShrank || fileBytes < (file?.byteLength ?? 0)) {
    const { offset, byteLength } = chunk;
    const message = `${path} shrank from ${file?.byteLength} to ${fileBytes} bytes while it was read`;
    const code = "PREFAULT_FILE_CHANGED";
    return { path, offset, byteLength, code, errno: undefined, message };
  }
  const { offset, errno } = locate(error, chunk, file);
  const byteLength = chunk.offset + chunk.byteLength - offset;
  const what = file === undefined ? "memory" : path;
  const from = file === undefined ? `0x${offset.toString(16)}` : `byte ${offset}`;
  const why = errno ?? messageOf(error);
  const message = `${what} could not be filled at ${from}: ${why}`;
  return { path, offset, byteLength, code: "PREFAULT_READ_FAILED", errno, message };
}

interface Place {
  readonly offset: number;
  readonly errno: string | undefined;
}

/** The offset that failed, and the name of the system's error. */
function locate(error: unknown, { offset }: Chunk, file: FileSource | undefined): Place {
  if (!(error instanceof FillFailed)) return { offset, errno: systemErrorOf(error) };
  const { cause } = error;
  // A populate fails with EFAULT, whatever the device reported. A read gets the reason and the page.
  const found = file !== undefined && cause instanceof SystemError ? readUntil(error, file) : null;
  return found ?? { offset: error.offset, errno: systemErrorOf(cause) };
}

function systemErrorOf(error: unknown): string | undefined {
  return error instanceof SystemError ? error.errno : errnoOf(error);
}

const READ_BYTES = 1024 ** 2;

/** Reads the failed range up to the page that fails; `null` when no read fails this time. */
function readUntil({ offset, byteLength }: FillFailed, { fd }: FileSource): Place | null {
  const buffer = new Uint8Array(READ_BYTES);
  for (let at = offset; at < offset + byteLength; ) {
    try {
      const read = readSync(fd, buffer, 0, Math.min(READ_BYTES, offset + byteLength - at), at);
      if (read === 0) return null;
      at += read;
    } catch (error) {
      return { offset: at, errno: errnoOf(error) };
    }
  }
  return null;
}

/** Describes the chunk at which a sweep stopped because memory ran short. */
export function describeOutOfMemory(
  why: string,
  { offset, byteLength }: Chunk,
  file: FileSource | undefined,
): FailureReport {
  const message = `memory ran short: ${why}`;
  const path = file?.path ?? "";
  const code = "PREFAULT_OUT_OF_MEMORY";
  return { path, offset, byteLength, code, errno: undefined, message };
}
