import { readFileSync } from "node:fs";

/** Bytes that are this process's own: written, or not of a file. Linux only. */
export function privateBytes(): number {
  const rollup = readFileSync("/proc/self/smaps_rollup", "utf8");
  const of = (field: string) =>
    1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(rollup)?.[1]);
  return Math.max(of("Private_Dirty"), of("Anonymous"));
}

/** Bytes of a file that this process's page tables map, through whatever mapping. Linux only. */
export function mappedInTables(path: string): number {
  let bytes = 0;
  let inside = false;
  for (const line of readFileSync("/proc/self/smaps", "utf8").split("\n")) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) inside = line.endsWith(` ${path}`);
    else if (inside && line.startsWith("Rss:")) bytes += 1024 * Number(/\d+/.exec(line)?.[0]);
  }
  return bytes;
}
