import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** Threads of this process. Linux only. */
export function threadCount(): number {
  return readdirSync("/proc/self/task").length;
}

/** A mapping of this process, as `/proc/self/maps` tells of it. */
export interface ProcessMapping {
  readonly start: bigint;
  readonly end: bigint;
  readonly access: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
}

/** What this process has mapped of the files whose path begins so. Linux only. */
export function mappingsOf(path: string): ProcessMapping[] {
  return readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .filter((line) => line.includes(` ${path}`))
    .map((line) => {
      const [, start, end, access = "", offset] =
        /^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+)/.exec(line) ?? [];
      return {
        start: BigInt(`0x${start}`),
        end: BigInt(`0x${end}`),
        access,
        offset: Number.parseInt(offset ?? "", 16),
      };
    });
}

/** Looks again and again; whatever is waited for may take its time. @throws after a minute */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (const deadline = Date.now() + 60_000; !condition(); ) {
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await sleep(5);
  }
}
