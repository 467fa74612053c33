import { readFileSync } from "node:fs";
import { freemem, totalmem } from "node:os";
import { memoryCgroups } from "./cgroup.ts";

/** What a system says of its memory itself, where that beats `node:os`. Bytes. */
export interface SystemMemory {
  readonly totalBytes: number;
  /** What can be had without writing anything out, cached pages of files included. */
  readonly availableBytes: number;
}

/** Bytes of RAM this process may use at all: the machine's, or the tightest limit above it. */
export function totalBytes(system: SystemMemory | null = null): number {
  const machine = system?.totalBytes ?? totalmem();
  return Math.min(machine, ...memoryCgroups().map((group) => group.limitBytes));
}

/**
 * Bytes that can be had now without pushing out anything but page cache, plus the target's pages
 * that are already cached.
 *
 * The cached pages of the target need no new memory, so they count as available. Linux's
 * `MemAvailable` and a cgroup's reclaimable file pages include them already; adding them again would
 * count them twice. Elsewhere the system's figure for free memory does not include the page cache,
 * and they are added.
 *
 * @param residentBytes of the target, bytes
 */
export function availableBytes(residentBytes: number, system: SystemMemory | null = null): number {
  const machine = system?.availableBytes ?? memInfo("MemAvailable") ?? freemem() + residentBytes;
  const groups = memoryCgroups().map((group) =>
    Math.max(0, group.limitBytes - group.usageBytes + group.reclaimableBytes),
  );
  return Math.min(totalmem(), machine, ...groups);
}

function memInfo(key: string): number | undefined {
  try {
    const line = new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(
      readFileSync("/proc/meminfo", "utf8"),
    );
    return line?.[1] === undefined ? undefined : Number(line[1]) * 1024;
  } catch {
    return undefined;
  }
}

/** Less than this share free, and page cache has to go for every page that is read. */
const SHORT_SHARE = 0.05;

/** Whether free memory has run out, page cache not counted: the machine's, or that of a cgroup. */
export function isMemoryShort(): boolean {
  const groups = memoryCgroups().map(({ limitBytes, usageBytes }) => [limitBytes, usageBytes]);
  const machine = [totalmem(), totalmem() - (memInfo("MemFree") ?? freemem())];
  return [machine, ...groups].some(([most = 0, used = 0]) => most - used < SHORT_SHARE * most);
}
