import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const V1 = "/sys/fs/cgroup/memory";
const V2 = "/sys/fs/cgroup";

export interface MemoryCgroup {
  readonly folder: string;
  /** Of the processes in it. */
  pids(): number[];
  /** Ends what still runs in it; a group can be removed only when its last process is gone. */
  remove(): Promise<void>;
}

let groups = 0;

/** A group that may use so much memory, page cache included; or why there can be none. */
export function makeMemoryCgroup(limitBytes: number): MemoryCgroup | string {
  const [mount, limit] = existsSync(join(V1, "memory.limit_in_bytes"))
    ? [V1, "memory.limit_in_bytes"]
    : [V2, "memory.max"];
  const folder = join(mount, `prefault-test-${process.pid}-${groups++}`);
  try {
    if (mount === V2) enableMemory();
    mkdirSync(folder);
  } catch (error) {
    return `no memory cgroup can be made: ${error}`;
  }
  try {
    writeFileSync(join(folder, limit), String(limitBytes));
  } catch (error) {
    rmdirSync(folder);
    return `a memory cgroup takes no limit: ${error}`;
  }
  return { folder, pids: () => pidsIn(folder), remove: () => remove(folder) };
}

async function remove(folder: string): Promise<void> {
  for (const deadline = Date.now() + 30_000; ; await sleep(20)) {
    try {
      rmdirSync(folder);
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      endProcessesOf(folder);
    }
  }
}

function endProcessesOf(folder: string): void {
  for (const pid of pidsIn(folder)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended in between.
    }
  }
}

function pidsIn(folder: string): number[] {
  const lines = readFileSync(join(folder, "cgroup.procs"), "utf8").split("\n");
  return lines.filter((line) => line !== "").map(Number);
}

function enableMemory(): void {
  const controllers = readFileSync(join(V2, "cgroup.controllers"), "utf8").trim().split(" ");
  if (!controllers.includes("memory")) throw new Error("the memory controller is not there");
  writeFileSync(join(V2, "cgroup.subtree_control"), "+memory");
}
