import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Mount, parseMounts } from "../../shims/mount-table.ts";
import { errnoOf } from "../describe.ts";
import { readText } from "./read-text.ts";

/** A memory cgroup with a limit that this process is in: its own or one above. Bytes. */
export interface CgroupMemory {
  /** The tightest limit of the group itself. */
  readonly limitBytes: number;
  /** The file that sets the limit, such as `memory.high`. */
  readonly limitedBy: string;
  readonly usageBytes: number;
  /** Page cache of the group that the kernel can reclaim without losing data. */
  readonly reclaimableBytes: number;
}

/** A folder of the cgroup file system. */
export interface CgroupFolder {
  readonly path: string;
  readonly version: 1 | 2;
}

/**
 * The memory cgroups that limit this process, innermost first; empty where none does.
 *
 * Limits nest, and each level has its own usage: the tightest limit counts. At `memory.max` the kernel
 * reclaims or kills; above `memory.high` it reclaims and slows every allocation down, to a standstill if
 * need be (kernel `Documentation/admin-guide/cgroup-v2.rst`). A sweep must stay below both.
 *
 * @param root of the file system; tests give a folder
 */
export function memoryCgroups(root = "/"): CgroupMemory[] {
  return limitedCgroups(root).map(readCgroup);
}

/** A group with a limit, without its usage, which changes. */
export interface LimitedCgroup extends CgroupFolder {
  readonly limitBytes: number;
  readonly limitedBy: string;
}

/** The groups that have a limit, without their usage: limits change less often than usage. */
export function limitedCgroups(root = "/"): LimitedCgroup[] {
  return cgroupFolders(root).flatMap((folder) => {
    const [limit] = FILES[folder.version].limits
      .flatMap(({ file, key }) => {
        const limitBytes = numberIn(join(folder.path, file), key);
        return limitBytes !== undefined && limitBytes < NO_LIMIT
          ? [{ limitBytes, limitedBy: key ?? file }]
          : [];
      })
      .sort((a, b) => a.limitBytes - b.limitBytes);
    return limit === undefined ? [] : [{ ...folder, ...limit }];
  });
}

export function readCgroup(group: LimitedCgroup): CgroupMemory {
  const { limitBytes, limitedBy } = group;
  const { reclaimable } = FILES[group.version];
  const stat = readText(join(group.path, "memory.stat"));
  const reclaimableBytes = reclaimable.reduce((sum, key) => sum + (numberOf(stat, key) ?? 0), 0);
  return { limitBytes, limitedBy, usageBytes: usageOf(group), reclaimableBytes };
}

export function usageOf({ path, version }: CgroupFolder): number {
  return numberIn(join(path, FILES[version].usage)) ?? 0;
}

/** How often a group has reached its own limit so far. */
export function limitHits({ path, version }: CgroupFolder): number {
  const { hits } = FILES[version];
  return hits.reduce((sum, { file, key }) => sum + (numberIn(join(path, file), key) ?? 0), 0);
}

/** A number in a file of a group. */
interface Word {
  readonly file: string;
  /** The key of the number's line; none for a file of one number. */
  readonly key?: string;
}

interface Files {
  readonly limits: readonly Word[];
  readonly usage: string;
  /** Keys of `memory.stat`. */
  readonly reclaimable: readonly string[];
  readonly hits: readonly Word[];
}

const FILES: Readonly<Record<1 | 2, Files>> = {
  1: {
    limits: [
      { file: "memory.limit_in_bytes" },
      // The tightest limit of the groups above, including groups that a container cannot see.
      { file: "memory.stat", key: "hierarchical_memory_limit" },
    ],
    usage: "memory.usage_in_bytes",
    // The `total_` keys count the descendants.
    reclaimable: ["total_inactive_file", "total_active_file"],
    hits: [{ file: "memory.failcnt" }],
  },
  2: {
    limits: [{ file: "memory.high" }, { file: "memory.max" }],
    usage: "memory.current",
    reclaimable: ["inactive_file", "active_file"],
    hits: [
      { file: "memory.events.local", key: "high" },
      { file: "memory.events.local", key: "max" },
    ],
  },
};

/** More than any machine has: v1 writes "no limit" as 2^63 less a page, v2 as `max`. */
const NO_LIMIT = 2 ** 60;

/** The usual mount points: systemd's layout, and v2 beside v1 in its hybrid layout. */
const USUAL_MOUNTS: Readonly<Record<1 | 2, readonly string[]>> = {
  1: ["/sys/fs/cgroup/memory"],
  2: ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"],
};

/**
 * The folders of the memory cgroups that this process is in, innermost first. Some may not exist, or lack
 * some files.
 */
export function cgroupFolders(root = "/", pid: number | "self" = "self"): CgroupFolder[] {
  const membership = readText(join(root, `proc/${pid}/cgroup`));
  const mounts = parseMounts(readText(join(root, "proc/self/mountinfo")));
  return membership.split("\n").flatMap((line) => {
    // `0::/path` is the v2 hierarchy, `9:memory:/path` a v1 controller.
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined || controllers === undefined) return [];
    if (controllers === "") return levels(root, 2, path, mounts);
    return controllers.split(",").includes("memory") ? levels(root, 1, path, mounts) : [];
  });
}

function levels(root: string, version: 1 | 2, path: string, mounts: readonly Mount[]) {
  const shown = mounts
    .filter(({ type, options }) =>
      version === 2 ? type === "cgroup2" : type === "cgroup" && options.includes("memory"),
    )
    .map((mount) => ({ point: mount.point, below: relativeTo(mount.root, path) }));
  const usual = USUAL_MOUNTS[version].map((point) => ({ point, below: path }));
  const folders = [...shown, ...usual].flatMap(({ point, below }) => {
    const names = below.split("/").filter((name) => name !== "" && name !== "..");
    // In a container the path may be the host's while the mount shows the container's own group at its
    // root. So every level up to the mount's root is listed, and levels that do not exist have no files.
    const depths = Array.from({ length: names.length + 1 }, (_, depth) => names.length - depth);
    return depths.map((depth) => join(root, point, ...names.slice(0, depth)));
  });
  return [...new Set(folders)].map((folder) => ({ path: folder, version }));
}

/** The path of a group relative to the folder of the hierarchy that is mounted. */
function relativeTo(shown: string, path: string): string {
  if (path === shown) return "/";
  return path.startsWith(`${shown}/`) ? path.slice(shown.length) : path;
}

/**
 * Has the innermost memory cgroup of a process reclaim bytes, those used least first. Of the second version
 * of cgroups only (since 5.19), and only where this process may write to the group's files: in a container
 * or a unit to which the group was delegated.
 *
 * @throws what `node:fs` throws: `ENOENT` or `EACCES` where that is not so. That not all could be reclaimed
 *   (`EAGAIN`) is no error
 */
export async function reclaim(pid: number, bytes: number, root = "/"): Promise<void> {
  const [group] = cgroupFolders(root, pid).filter(
    ({ path, version }) => version === 2 && readText(join(path, "memory.current")) !== "",
  );
  const file = join(group?.path ?? join(root, "sys/fs/cgroup"), "memory.reclaim");
  await writeFile(file, String(Math.ceil(bytes)), { flag: "r+" }).catch((error: unknown) => {
    if (errnoOf(error) !== "EAGAIN") throw error;
  });
}

function numberIn(path: string, key?: string): number | undefined {
  return numberOf(readText(path), key);
}

/** A whole number, alone or after its key; `undefined` for `max`. */
function numberOf(text: string, key?: string): number | undefined {
  const [, digits] =
    (key === undefined ? /^(\d+)\s*$/ : new RegExp(`^${key} (\\d+)$`, "m")).exec(text) ?? [];
  return digits === undefined ? undefined : Number(digits);
}
