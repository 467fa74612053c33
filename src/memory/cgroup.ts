import { readFileSync } from "node:fs";
import { join } from "node:path";

/** One memory cgroup this process is in, its own or one above. Bytes. */
export interface CgroupMemory {
  readonly limitBytes: number;
  readonly usageBytes: number;
  /** Page cache charged to the group that reclaim can take back without losing data. */
  readonly reclaimableBytes: number;
}

/**
 * The memory cgroups that limit this process, innermost first; empty where none does.
 *
 * Limits nest, and each level counts on its own: the tightest wins. `max` (v2) and numbers near 2^63
 * (v1, rounded down to a page) both mean "no limit" (kernel `Documentation/admin-guide/cgroup-v1/memory.rst`).
 *
 * @param root where the file system is mounted; tests put a made-up tree there
 */
export function memoryCgroups(root = "/"): CgroupMemory[] {
  const membership = read(join(root, "proc/self/cgroup"));
  if (membership === undefined) return [];
  return membership.split("\n").flatMap((line) => {
    // `0::/path` is the v2 hierarchy, `9:memory:/path` a v1 controller.
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined || controllers === undefined) return [];
    if (controllers === "") return levels(root, V2, path);
    return controllers.split(",").includes("memory") ? levels(root, V1, path) : [];
  });
}

interface Hierarchy {
  /** Candidates: systemd's layout, and the hybrid one, where v2 lives beside v1. */
  readonly mounts: readonly string[];
  readonly limit: string;
  readonly usage: string;
  /** Keys of `memory.stat`. v1 counts the descendants in the `total_` ones. */
  readonly reclaimable: readonly string[];
}

const V1: Hierarchy = {
  mounts: ["sys/fs/cgroup/memory"],
  limit: "memory.limit_in_bytes",
  usage: "memory.usage_in_bytes",
  reclaimable: ["total_inactive_file", "total_active_file"],
};

const V2: Hierarchy = {
  mounts: ["sys/fs/cgroup", "sys/fs/cgroup/unified"],
  limit: "memory.max",
  usage: "memory.current",
  reclaimable: ["inactive_file", "active_file"],
};

/** More than any machine has: v1 writes "no limit" as 2^63 less a page. */
const NO_LIMIT = 2 ** 60;

function levels(root: string, hierarchy: Hierarchy, path: string): CgroupMemory[] {
  const found: CgroupMemory[] = [];
  for (const mount of hierarchy.mounts) {
    const names = path.split("/").filter((name) => name !== "" && name !== "..");
    // In a container the path may be the host's while the mount shows the container's own group at
    // its root: levels that are not there are passed over, the mount's root is always looked at.
    for (let depth = names.length; depth >= 0; depth--) {
      const group = readGroup(join(root, mount, ...names.slice(0, depth)), hierarchy);
      if (group !== undefined) found.push(group);
    }
  }
  return found;
}

function readGroup(folder: string, hierarchy: Hierarchy): CgroupMemory | undefined {
  const limitBytes = Number(read(join(folder, hierarchy.limit))?.trim());
  // `max` is NaN here, as is a file that is not there.
  if (!(limitBytes < NO_LIMIT)) return undefined;
  const stat = new Map(
    (read(join(folder, "memory.stat")) ?? "").split("\n").map((line) => {
      const [key = "", value] = line.split(" ");
      return [key, Number(value)] as const;
    }),
  );
  return {
    limitBytes,
    usageBytes: Number(read(join(folder, hierarchy.usage))?.trim() ?? 0) || 0,
    reclaimableBytes: hierarchy.reclaimable.reduce((sum, key) => sum + (stat.get(key) || 0), 0),
  };
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
