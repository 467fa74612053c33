import { readdirSync, readlinkSync } from "node:fs";

/** How many descriptors of this process lead to a path. Linux only. */
export function descriptorsOf(path: string): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(path);
    } catch {
      return false; // the one that listed the folder is gone
    }
  }).length;
}
