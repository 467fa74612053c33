import { messageOf } from "./describe.ts";

const marker = Symbol.for("prefault.error");

/**
 * What can go wrong, as a closed set.
 *
 * | code | meaning |
 * | --- | --- |
 * | `PREFAULT_INVALID_OPTION` | an option, a flag or a region has a value that is not allowed |
 * | `PREFAULT_NOT_FOUND` | no such file, a directory without model files, or no such process |
 * | `PREFAULT_NOT_A_FILE` | a FIFO, a socket, a device, `/proc`: nothing that can be mapped |
 * | `PREFAULT_PERMISSION` | the file may not be read, or the process not looked at |
 * | `PREFAULT_INVALID_MODEL` | an empty, truncated or malformed model |
 * | `PREFAULT_MISSING_SHARD` | one file of a split model is not there |
 * | `PREFAULT_UNKNOWN_TENSOR` | a name or a pattern that matches no tensor of the model |
 * | `PREFAULT_FILE_CHANGED` | the file shrank, or another one took its place, while it was in use |
 * | `PREFAULT_READ_FAILED` | the device or the file system failed; `errno` and `offset` say how and where |
 * | `PREFAULT_MAP_FAILED` | the file could not be mapped |
 * | `PREFAULT_OUT_OF_MEMORY` | memory ran short, so that going on would evict what was just read |
 * | `PREFAULT_UNSUPPORTED` | this platform cannot do what was asked |
 * | `PREFAULT_WORKER_FAILED` | a worker thread could not be started, or ended early |
 * | `PREFAULT_LISTEN_FAILED` | the address for metrics is in use, or may not be listened on |
 * | `PREFAULT_ABORTED` | the signal fired; `cause` is its reason |
 * | `PREFAULT_CLOSED` | the object was used after it was closed |
 * | `PREFAULT_INTERNAL` | a fault of this package; please report it with the `cause` |
 */
export type PrefaultErrorCode =
  | "PREFAULT_ABORTED"
  | "PREFAULT_CLOSED"
  | "PREFAULT_FILE_CHANGED"
  | "PREFAULT_INTERNAL"
  | "PREFAULT_INVALID_MODEL"
  | "PREFAULT_INVALID_OPTION"
  | "PREFAULT_LISTEN_FAILED"
  | "PREFAULT_MAP_FAILED"
  | "PREFAULT_MISSING_SHARD"
  | "PREFAULT_NOT_A_FILE"
  | "PREFAULT_NOT_FOUND"
  | "PREFAULT_OUT_OF_MEMORY"
  | "PREFAULT_PERMISSION"
  | "PREFAULT_READ_FAILED"
  | "PREFAULT_UNKNOWN_TENSOR"
  | "PREFAULT_UNSUPPORTED"
  | "PREFAULT_WORKER_FAILED";

/** The details of an error besides its message. */
export interface PrefaultErrorDetail {
  /** Name of the operating system's error, such as `"EACCES"`. */
  errno?: string | undefined;
  /** The file it happened on. */
  path?: string | undefined;
  /** Where in the file, in bytes. */
  offset?: number | undefined;
  cause?: unknown;
}

/** Every failure this package raises on purpose. Branch on `code`, never on `message`. */
export class PrefaultError extends Error {
  readonly code: PrefaultErrorCode;
  /** Name of the operating system's error, such as `"EACCES"`, when a system call failed. */
  readonly errno: string | undefined;
  /** The file it happened on, when there is one. */
  readonly path: string | undefined;
  /** Where in the file, in bytes, when that is known. */
  readonly offset: number | undefined;
  readonly [marker] = true;

  constructor(code: PrefaultErrorCode, message: string, detail: PrefaultErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = "PrefaultError";
    this.code = code;
    this.errno = detail.errno;
    this.path = detail.path;
    this.offset = detail.offset;
  }

  /** Whether a value is an error of this package. Works across duplicate installs and bundles, unlike `instanceof`. */
  static is(value: unknown): value is PrefaultError {
    return typeof value === "object" && value !== null && marker in value;
  }
}

/** The error of every abort. The signal's own reason is its `cause`. */
export function abortError(signal: AbortSignal): PrefaultError {
  return new PrefaultError("PREFAULT_ABORTED", "the prefault was aborted", {
    cause: signal.reason,
  });
}

/** Any thrown value as this package's error: `PREFAULT_INTERNAL` for one that is not. */
export function asPrefaultError(thrown: unknown): PrefaultError {
  if (PrefaultError.is(thrown)) return thrown;
  return new PrefaultError("PREFAULT_INTERNAL", `unexpected: ${messageOf(thrown)}`, {
    cause: thrown,
  });
}
