import type { FileHandle } from "node:fs/promises";
import { abortError } from "../errors.ts";
import { asFileError, openFile } from "../file/open-file.ts";
import { readCsv } from "./csv.ts";
import { readImatrix } from "./imatrix.ts";
import { invalidProfile, type Profile } from "./profile.ts";
import { parseProfile } from "./profile-json.ts";
import { KIND_BYTES, profileKind } from "./profile-kind.ts";

/** Sixteen times what the largest model's profile takes. */
const MOST_JSON_BYTES = 8 * 2 ** 20;

export interface ReadProfileOptions {
  /** Ends the reading between two looks at the file. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads how often each routed expert is chosen. By content, whatever the file is called:
 *
 * - an imatrix in GGUF: its header and its counts are read, not its other hundreds of megabytes
 * - a CSV of `layer,expert[,count]`, see `readCsv`
 * - the JSON of `prefault record`, see `parseProfile`
 *
 * Whether it fits a model is for `checkProfile` to say.
 *
 * @throws {@link PrefaultError} `PREFAULT_NOT_FOUND`, `PREFAULT_NOT_A_FILE`, `PREFAULT_PERMISSION`,
 *   `PREFAULT_READ_FAILED`, `PREFAULT_ABORTED`, and `PREFAULT_INVALID_OPTION` for a file that is no
 *   profile, saying what it is
 */
export async function readProfile(
  path: string,
  { signal }: ReadProfileOptions = {},
): Promise<Profile> {
  if (signal?.aborted === true) throw abortError(signal);
  const { handle, byteLength } = await openFile(path);
  try {
    return await readOpen(handle, path, byteLength, signal);
  } catch (error) {
    throw asFileError(error, path);
  } finally {
    await handle.close();
  }
}

async function readOpen(
  handle: FileHandle,
  path: string,
  byteLength: number,
  signal: AbortSignal | undefined,
): Promise<Profile> {
  const start = Buffer.alloc(Math.min(KIND_BYTES, byteLength));
  const { bytesRead } = await handle.read(start, 0, start.length, 0);
  const kind = profileKind(start.subarray(0, bytesRead));
  switch (kind.format) {
    case "none":
      throw invalidProfile(path, kind.why);
    case "gguf":
      return readImatrix(handle, path, byteLength, signal);
    case "csv":
      return readCsv(handle, path, byteLength, kind.encoding, signal);
    case "json":
      return parseProfile(await readText(handle, path, byteLength), path);
  }
}

async function readText(handle: FileHandle, path: string, byteLength: number): Promise<string> {
  if (byteLength > MOST_JSON_BYTES) {
    throw invalidProfile(path, `it is JSON of ${byteLength} bytes, more than any profile has`);
  }
  const bytes = Buffer.alloc(byteLength);
  const { bytesRead } = await handle.read(bytes, 0, byteLength, 0);
  return bytes.toString("utf8", 0, bytesRead);
}
