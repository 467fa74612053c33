import { freemem, totalmem } from "node:os";
import { join } from "node:path";
import type { SystemMemory } from "../../shims/index.ts";
import { limitedCgroups, memoryCgroups, usageOf } from "./cgroup.ts";
import { readText } from "./read-text.ts";

/** The least result: a gate takes 0 for "not known". */
const LEAST_KNOWN = 1;

/**
 * Bytes of RAM that this process may use at most: those of the machine, or the tightest cgroup limit.
 * At least 1.
 *
 * @param root of the file system; tests give a folder
 */
export function totalBytes(system: SystemMemory | null = null, root = "/"): number {
  const machine = system?.totalBytes ?? totalmem();
  const limits = limitedCgroups(root).map((group) => group.limitBytes);
  return Math.max(LEAST_KNOWN, Math.min(machine, ...limits));
}

/**
 * Bytes that can be used now without evicting anything but page cache, plus the pages of the target that
 * are cached already. At least 1.
 *
 * Cached pages of the target need no new memory, so they count as available. Linux's `MemAvailable` and a
 * cgroup's reclaimable file pages include them already. The figure of free memory of other systems does
 * not include the page cache, so there they are added.
 *
 * @param residentBytes bytes of the target that are cached
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

/**
 * Bytes that can be used now without evicting anything, page cache included. Not below 0.
 *
 * @param root of the file system; tests give a folder
 */
export function unusedBytes(system: SystemMemory | null = null, root = "/"): number {
  // Of other systems no figure leaves out what is cached.
  const machine = memInfo("MemFree", root) ?? system?.availableBytes ?? freemem();
  const groups = limitedCgroups(root).map((group) => group.limitBytes - usageOf(group));
  return Math.max(0, Math.min(machine, ...groups));
}

function memInfo(key: string, root: string): number | undefined {
  const text = readText(join(root, "proc/meminfo"));
  const line = new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(text);
  return line?.[1] === undefined ? undefined : Number(line[1]) * 1024;
}

/** With less than this share free, the kernel evicts page cache for each page that is read. */
const SHORT_SHARE = 0.05;

/** Whether the machine or a cgroup has little memory free, page cache counted as used. */
export function isMemoryShort(root = "/"): boolean {
  const groups = limitedCgroups(root).map((group) => [group.limitBytes, usageOf(group)]);
  const machine = [totalmem(), totalmem() - (memInfo("MemFree", root) ?? freemem())];
  // `<=`, so that a group with a limit of 0 is short too.
  return [machine, ...groups].some(([most = 0, used = 0]) => most - used <= SHORT_SHARE * most);
}
