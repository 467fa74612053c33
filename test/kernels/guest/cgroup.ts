import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = "/sys/fs/cgroup";

/** What a group may use, in bytes. */
export interface Limits {
  readonly max?: number;
  readonly high?: number;
}

/** A memory cgroup of version 2. */
export interface Cgroup {
  readonly folder: string;
  /** A number of one of its files, such as `memory.current`. */
  read(file: string): string;
}

/**
 * Makes nested groups, outermost first, for the length of `use`, which is given the innermost.
 */
export async function inCgroup<T>(
  levels: readonly Limits[],
  use: (innermost: Cgroup) => Promise<T>,
): Promise<T> {
  const made: string[] = [];
  try {
    for (const [depth, { max, high }] of levels.entries()) {
      const parent = made.at(-1) ?? ROOT;
      // A group that has others within takes no processes, and gives its controllers to those.
      if (depth > 0) writeFileSync(join(parent, "cgroup.subtree_control"), "+memory");
      const folder = join(parent, `level-${depth}`);
      mkdirSync(folder);
      made.push(folder);
      if (max !== undefined) writeFileSync(join(folder, "memory.max"), String(max));
      if (high !== undefined) writeFileSync(join(folder, "memory.high"), String(high));
    }
    const folder = made.at(-1) ?? ROOT;
    return await use({ folder, read: (file) => readFileSync(join(folder, file), "utf8") });
  } finally {
    for (const folder of made.reverse()) rmdirSync(folder);
  }
}
