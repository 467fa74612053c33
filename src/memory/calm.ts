import { join } from "node:path";
import { cgroupFolders } from "./cgroup.ts";
import { readText } from "./read-text.ts";

/**
 * The share of the last ten seconds in which some program waited for memory, above which nothing is read
 * again: what would be read would push out what somebody else has just read.
 */
const CALM_PERCENT = 1;

/**
 * Whether nobody has waited for memory lately: on the machine, and in the cgroups of this process.
 *
 * @param root of the file system; tests give a folder
 * @returns the highest share of the last ten seconds, in percent; 0 where the kernel does not measure it
 */
export function memoryPressure(root = "/"): number {
  const groups = cgroupFolders(root).filter(({ version }) => version === 2);
  const files = [
    join(root, "proc/pressure/memory"),
    ...groups.map(({ path }) => join(path, "memory.pressure")),
  ];
  return Math.max(0, ...files.map(someOf));
}

export function isCalm(root = "/"): boolean {
  return memoryPressure(root) < CALM_PERCENT;
}

/** `some avg10=0.00 avg60=0.00 avg300=0.00 total=0` (kernel Documentation/accounting/psi.rst). */
function someOf(file: string): number {
  return Number(/^some avg10=(\d+(?:\.\d+)?)/m.exec(readText(file))?.[1] ?? 0);
}
