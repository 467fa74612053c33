import { PrefaultError } from "../errors.ts";
import { openFile } from "../files.ts";
import type { ModelFile } from "./model.ts";

/**
 * Looks at a file a model may lie in, without keeping it open.
 *
 * @throws {@link PrefaultError} what {@link openFile} throws, and `PREFAULT_INVALID_MODEL` for an
 *   empty file
 */
export async function statModelFile(path: string): Promise<ModelFile> {
  const { handle, byteLength, identity } = await openFile(path);
  await handle.close();
  if (byteLength === 0) {
    throw new PrefaultError("PREFAULT_INVALID_MODEL", `${path} is empty`, { path });
  }
  return { path, byteLength, identity };
}
