import { constants, open } from "node:fs/promises";
import { looksLikeSafetensors } from "./safetensors-header.ts";
import { START_BYTES } from "./text-file.ts";

/** Whether a file begins like a GGUF or a safetensors file. False where it cannot be read. */
export async function beginsLikeModel(path: string): Promise<boolean> {
  // NONBLOCK: does not wait for a writer if it is a FIFO.
  const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
  const handle = await open(path, flags).catch(() => null);
  if (handle === null) return false;
  try {
    const found = await handle.stat();
    if (!found.isFile()) return false;
    const start = Buffer.alloc(START_BYTES);
    const { bytesRead } = await handle.read(start, 0, START_BYTES, 0);
    return (
      start.toString("latin1", 0, 4) === "GGUF" ||
      looksLikeSafetensors(start.subarray(0, bytesRead), found.size)
    );
  } catch {
    return false;
  } finally {
    await handle.close();
  }
}
