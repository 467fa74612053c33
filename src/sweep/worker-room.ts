import { readFileSync } from "node:fs";

const MIB = 1024 ** 2;

/**
 * What a worker thread takes of a limit, with room to spare: V8 reserves addresses for each thread's
 * code and stack. Measured on Node 20 to 26: 590 to 845 MiB of addresses, and from Node 24 on 530 MiB
 * of what `ulimit -d` counts.
 */
const NEEDED: readonly { limit: string; used: string; bytes: number }[] = [
  { limit: "Max address space", used: "VmSize", bytes: 1024 * MIB },
  { limit: "Max data size", used: "VmData", bytes: 640 * MIB },
];

/**
 * How many worker threads may be started within the process's own limits (`ulimit -v`, `ulimit -d`,
 * systemd's `LimitAS=`); infinite where nothing limits them.
 *
 * Asked beforehand, because it cannot be tried: V8 ends the whole process when a new thread's
 * addresses cannot be reserved ("Failed to reserve virtual memory for CodeRange").
 *
 * @param root where the file system is mounted; tests make one up
 */
export function workerRoom(root = ""): number {
  const limits = read(`${root}/proc/self/limits`);
  const status = read(`${root}/proc/self/status`);
  const rooms = NEEDED.map(({ limit, used, bytes }) => {
    // `Max address space  2147483648  unlimited  bytes`: the soft limit binds.
    const most = new RegExp(`^${limit}\\s+(\\d+)`, "m").exec(limits)?.[1];
    const now = new RegExp(`^${used}:\\s+(\\d+) kB`, "m").exec(status)?.[1];
    if (most === undefined || now === undefined) return Number.POSITIVE_INFINITY;
    return Math.max(0, Math.floor((Number(most) - Number(now) * 1024) / bytes));
  });
  return Math.min(...rooms);
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
