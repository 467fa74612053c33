import { open } from "node:fs/promises";
import type { FileFacts, Shim } from "../../shims/index.ts";

/** What a shim says of a file. */
export async function factsOf(shim: Shim, path: string): Promise<FileFacts> {
  const handle = await open(path);
  try {
    return await shim.describeFile({ handle, path });
  } finally {
    await handle.close();
  }
}
