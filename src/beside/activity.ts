import { readFile } from "node:fs/promises";
import { loadShim } from "../../shims/index.ts";
import { processTree } from "../hold/process-tree.ts";

/** What a process and its children do with files. */
export interface Activity {
  /** Whether one of them has mapped one of the files. */
  readonly hasMapped: boolean;
  /** Bytes that they have made devices read so far, page faults included. */
  readonly readBytes: number;
}

/** @returns `null` where the system does not tell of other processes */
export async function activityOf(pid: number, paths: readonly string[]): Promise<Activity | null> {
  const shim = await loadShim();
  const tree = await processTree(pid);
  let hasMapped = false;
  for (const each of tree) {
    for (const path of paths) {
      const found = await shim.findMappings(path, each).catch(() => []);
      if (found === null) return null;
      hasMapped ||= found.length > 0;
    }
  }
  return { hasMapped, readBytes: (await readBytesOf(tree)) ?? 0 };
}

/**
 * Bytes that processes have made devices read so far, page faults and hints included (proc_pid_io(5)).
 *
 * @returns `null` where the system tells it of none of them
 */
export async function readBytesOf(pids: readonly number[]): Promise<number | null> {
  const counts: number[] = [];
  for (const pid of pids) {
    const text = await readFile(`/proc/${pid}/io`, "utf8").catch(() => "");
    const [, bytes] = /^read_bytes: (\d+)$/m.exec(text) ?? [];
    if (bytes !== undefined) counts.push(Number(bytes));
  }
  return counts.length === 0 ? null : counts.reduce((sum, bytes) => sum + bytes, 0);
}
