import type { OpenFile } from "../file/open-file.ts";
import { type GgufOptions, openGguf } from "./gguf.ts";
import type { Model } from "./model.ts";
import { wholeFile } from "./whole-file.ts";
import { readArchive } from "./zip.ts";

/** The first bytes of executables, of zip archives and of scripts: a llamafile begins with one of these. */
const ARCHIVE_STARTS = ["MZ", "\x7fELF", "PK\x03\x04", "#!", "\xcf\xfa\xed\xfe"];

/**
 * Opens the model in a llamafile, which is an executable and a zip archive with a GGUF stored in it. With
 * several, the largest is the model, and the others are its projectors.
 *
 * @param start the first bytes of the file
 * @returns `undefined` for a file that is no llamafile
 */
export async function readLlamafile(
  opened: OpenFile,
  start: Buffer,
  options: GgufOptions,
): Promise<Model | undefined> {
  const { handle, byteLength, path } = opened;
  const head = start.toString("latin1", 0, 4);
  const mayBe = ARCHIVE_STARTS.some((each) => head.startsWith(each)) || /\.llamafile$/i.test(path);
  if (!mayBe) return undefined;
  const archive = await readArchive(handle, byteLength, /\.gguf$/i);
  const packed = archive?.compressed ?? [];
  const notes = packed.map((name) => `${path} holds ${name} compressed, which cannot be mapped`);
  const [largest, ...others] = [...(archive?.stored ?? [])].sort(
    (one, other) => other.byteLength - one.byteLength,
  );
  if (largest === undefined) return notes.length > 0 ? wholeFile(opened, notes) : undefined;
  const model = await openGguf(opened, { ...options, within: largest });
  return {
    ...model,
    notes: [
      ...(model.notes ?? []),
      ...notes,
      ...others.map(({ name }) => `${path} also holds ${name}, whose tensors are not listed`),
    ],
  };
}
