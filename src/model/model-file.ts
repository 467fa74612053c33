import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { PrefaultError } from "../errors.ts";
import type { OpenFile } from "../file/open-file.ts";
import type { ModelFile } from "./model.ts";

/** What a model remembers of a file that was open. */
export function modelFile({ path, byteLength, identity }: OpenFile): ModelFile {
  return { path, byteLength, identity };
}

/** @throws {@link PrefaultError} `PREFAULT_INVALID_MODEL` for an empty file */
export function expectContents({ path, byteLength }: OpenFile): void {
  if (byteLength === 0) {
    throw new PrefaultError("PREFAULT_INVALID_MODEL", `${path} is empty`, { path });
  }
}

/** What downloaders and browsers put behind the name of a file while it is not complete. */
export const UNFINISHED =
  /[.-](part|partial|incomplete|tmp|temp|download|downloading|downloadinprogress|crdownload|aria2|!qb|opdownload|partial-\d+)$/i;

/** Where the Hugging Face client keeps unfinished files of a folder that it downloads into. */
const HUGGING_FACE_DOWNLOADS = join(".cache", "huggingface", "download");

/** The unfinished download of a file that is not there, as a half-sentence for a message; else empty. */
export async function unfinishedHint(path: string): Promise<string> {
  const name = basename(path);
  for (const folder of [dirname(path), join(dirname(path), HUGGING_FACE_DOWNLOADS)]) {
    const beside = await readdir(folder).catch(() => []);
    const found = beside.find((each) => each.startsWith(name) && UNFINISHED.test(each));
    if (found !== undefined) return ` (${join(folder, found)} is an unfinished download of it)`;
  }
  return "";
}
