import { constants, open } from "node:fs/promises";
import { looksLikeSafetensors } from "./safetensors-header.ts";
import { isGguf, readStart } from "./text-file.ts";

/** Whether a file begins like a GGUF or a safetensors file. False where it cannot be read. */
export async function beginsLikeModel(path: string): Promise<boolean> {
  // NONBLOCK: does not wait for a writer if it is a FIFO.
  const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
  const handle = await open(path, flags).catch(() => null);
  if (handle === null) return false;
  try {
    const found = await handle.stat();
    if (!found.isFile()) return false;
    const start = await readStart(handle, found.size);
    return isGguf(start) || looksLikeSafetensors(start, found.size);
  } catch {
    return false;
  } finally {
    await handle.close();
  }
}
