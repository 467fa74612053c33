import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { PrefaultError } from "../errors.ts";
import type { OpenFile } from "../file/open-file.ts";
import type { ModelFile } from "./model.ts";

/** The facts of an open file that a model keeps. */
export function modelFile({ path, byteLength, identity }: OpenFile): ModelFile {
  return { path, byteLength, identity };
}

/** @throws {@link PrefaultError} `PREFAULT_INVALID_MODEL` for an empty file */
export function expectContents({ path, byteLength }: OpenFile): void {
  if (byteLength === 0) {
    throw new PrefaultError("PREFAULT_INVALID_MODEL", `${path} is empty`, { path });
  }
}

/** The suffixes that downloaders and browsers give to files that are not complete. */
export const UNFINISHED =
  /[.-](part|partial|incomplete|tmp|temp|download|downloading|downloadinprogress|crdownload|aria2|!qb|opdownload|partial-\d+)$/i;

/** The folder of the Hugging Face client for unfinished files, below the folder of a download. */
const HUGGING_FACE_DOWNLOADS = join(".cache", "huggingface", "download");

/** Looks for an unfinished download of a missing file. @returns words to append to a message, or "" */
export async function unfinishedHint(path: string): Promise<string> {
  const name = basename(path);
  for (const folder of [dirname(path), join(dirname(path), HUGGING_FACE_DOWNLOADS)]) {
    const beside = await readdir(folder).catch(() => []);
    const found = beside.find((each) => each.startsWith(name) && UNFINISHED.test(each));
    if (found !== undefined) return ` (${join(folder, found)} is an unfinished download of it)`;
  }
  return "";
}
