import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const V1 = "/sys/fs/cgroup/memory";
const V2 = "/sys/fs/cgroup";

export interface MemoryCgroup {
  readonly folder: string;
  remove(): void;
}

/** A group that may use so much memory, page cache included; or why there can be none. */
export function makeMemoryCgroup(limitBytes: number): MemoryCgroup | string {
  const [mount, limit] = existsSync(join(V1, "memory.limit_in_bytes"))
    ? [V1, "memory.limit_in_bytes"]
    : [V2, "memory.max"];
  const folder = join(mount, `prefault-test-${process.pid}`);
  try {
    if (mount === V2) enableMemory();
    mkdirSync(folder);
  } catch (error) {
    return `no memory cgroup can be made: ${error}`;
  }
  const remove = () => rmdirSync(folder);
  try {
    writeFileSync(join(folder, limit), String(limitBytes));
  } catch (error) {
    remove();
    return `a memory cgroup takes no limit: ${error}`;
  }
  return { folder, remove };
}

function enableMemory(): void {
  const controllers = readFileSync(join(V2, "cgroup.controllers"), "utf8").trim().split(" ");
  if (!controllers.includes("memory")) throw new Error("the memory controller is not there");
  writeFileSync(join(V2, "cgroup.subtree_control"), "+memory");
}
