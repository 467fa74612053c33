import type { FailureReport } from "../fill/failure.ts";
import type { FailedPath } from "../model/open-models.ts";

/** A path that could not be opened, as reports show it. */
export function unopened({ path, error: { code, errno, message } }: FailedPath): FailureReport {
  return { path, offset: 0, byteLength: 0, code, errno, message };
}
