import { readFile } from "node:fs/promises";
import { loadShim } from "../../shims/index.ts";
import { processTree } from "../hold/process-tree.ts";

/** What a process and its children do with files. */
export interface Activity {
  /** Whether one of them has mapped one of the files. */
  readonly hasMapped: boolean;
  /** Bytes that they have made devices read so far, page faults included (proc_pid_io(5)). */
  readonly readBytes: number;
}

/** @returns `null` where the system does not tell of other processes */
export async function activityOf(pid: number, paths: readonly string[]): Promise<Activity | null> {
  const shim = await loadShim();
  let hasMapped = false;
  let readBytes = 0;
  for (const each of await processTree(pid)) {
    for (const path of paths) {
      const found = await shim.findMappings(path, each).catch(() => []);
      if (found === null) return null;
      hasMapped ||= found.length > 0;
    }
    const io = await readFile(`/proc/${each}/io`, "utf8").catch(() => "");
    readBytes += Number(/^read_bytes: (\d+)$/m.exec(io)?.[1] ?? 0);
  }
  return { hasMapped, readBytes };
}
