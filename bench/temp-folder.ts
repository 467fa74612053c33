import { mkdirSync, mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const TMPFS = 0x01021994; // linux/magic.h

/**
 * A folder for models that can be evicted from the page cache, removed again whatever happens, also
 * on Ctrl-C. Not in memory: files of a tmpfs are the page cache, and nothing evicts them.
 */
export function temporaryFolder(): string {
  let parent = tmpdir();
  if (process.platform === "linux" && statfsSync(parent).type === TMPFS) {
    parent = join(process.cwd(), "build");
    mkdirSync(parent, { recursive: true });
  }
  const folder = mkdtempSync(join(parent, "prefault-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once("exit", remove);
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    // exit runs the listener above; a child that reads the model gets the signal as well.
    process.once(signal, () => process.exit(code));
  }
  return folder;
}
