import type { PrefaultErrorCode } from "../errors.ts";
import type { FailedPath } from "../model/open-models.ts";

/** A range that could not be filled, or a file that could not be opened: of that, zero bytes at 0. */
export interface FailureReport {
  readonly path: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
  readonly code: PrefaultErrorCode;
  readonly errno: string | undefined;
  /** What went wrong, in words. */
  readonly message: string;
}

/** A path that could not be opened, as reports show it. */
export function unopened({ path, error: { code, errno, message } }: FailedPath): FailureReport {
  return { path, offset: 0, byteLength: 0, code, errno, message };
}
