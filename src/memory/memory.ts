import { readFileSync } from "node:fs";
import { freemem, totalmem } from "node:os";
import { join } from "node:path";
import type { SystemMemory } from "../../shims/index.ts";
import { memoryCgroups } from "./cgroup.ts";

/** A gate takes 0 for "not known", and nothing at all is known well. */
const LEAST_KNOWN = 1;

/**
 * Bytes of RAM this process may use at all: the machine's, or the tightest limit above it. At least 1.
 *
 * @param root where the file system is mounted; tests put a made-up tree there
 */
export function totalBytes(system: SystemMemory | null = null, root = "/"): number {
  const machine = system?.totalBytes ?? totalmem();
  const limits = memoryCgroups(root).map((group) => group.limitBytes);
  return Math.max(LEAST_KNOWN, Math.min(machine, ...limits));
}

/**
 * Bytes that can be had now without pushing out anything but page cache, plus the target's pages
 * that are already cached. At least 1.
 *
 * The cached pages of the target need no new memory, so they count as available. Linux's
 * `MemAvailable` and a cgroup's reclaimable file pages include them already; adding them again would
 * count them twice. Elsewhere the system's figure for free memory does not include the page cache,
 * and they are added.
 *
 * @param residentBytes of the target, bytes
 */
export function availableBytes(
  residentBytes: number,
  system: SystemMemory | null = null,
  root = "/",
): number {
  const machine =
    system?.availableBytes ?? memInfo("MemAvailable", root) ?? freemem() + residentBytes;
  const groups = memoryCgroups(root).map(
    (group) => group.limitBytes - group.usageBytes + group.reclaimableBytes,
  );
  return Math.max(LEAST_KNOWN, Math.min(totalmem(), machine, ...groups));
}

function memInfo(key: string, root: string): number | undefined {
  try {
    const text = readFileSync(join(root, "proc/meminfo"), "utf8");
    const line = new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(text);
    return line?.[1] === undefined ? undefined : Number(line[1]) * 1024;
  } catch {
    return undefined;
  }
}

/** Less than this share free, and page cache has to go for every page that is read. */
const SHORT_SHARE = 0.05;

/** Whether free memory has run out, page cache not counted: the machine's, or that of a cgroup. */
export function isMemoryShort(root = "/"): boolean {
  const groups = memoryCgroups(root).map(({ limitBytes, usageBytes }) => [limitBytes, usageBytes]);
  const machine = [totalmem(), totalmem() - (memInfo("MemFree", root) ?? freemem())];
  // A group that is at a limit of 0 is short, too.
  return [machine, ...groups].some(([most = 0, used = 0]) => most - used <= SHORT_SHARE * most);
}
