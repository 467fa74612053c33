import { readText } from "../memory/read-text.ts";

const MIB = 1024 ** 2;

/**
 * Bytes that one worker thread takes of a limit, rounded up: V8 reserves addresses for each thread's code
 * and stack. Measured on Node 20 to 26: 590 to 845 MiB of addresses, and from Node 24 on 530 MiB that
 * count towards `ulimit -d`.
 */
const NEEDED: readonly { limit: string; used: string; bytes: number }[] = [
  { limit: "Max address space", used: "VmSize", bytes: 1024 * MIB },
  { limit: "Max data size", used: "VmData", bytes: 640 * MIB },
];

/**
 * How many worker threads can be started within the process's own limits (`ulimit -v`, `ulimit -d`,
 * systemd's `LimitAS=`); `Infinity` without limits.
 *
 * It is computed beforehand because it cannot be tried: when V8 cannot reserve a new thread's addresses,
 * it ends the whole process ("Failed to reserve virtual memory for CodeRange").
 *
 * @param root of the file system; tests give a folder
 */
export function workerRoom(root = ""): number {
  const limits = readText(`${root}/proc/self/limits`);
  const status = readText(`${root}/proc/self/status`);
  const rooms = NEEDED.map(({ limit, used, bytes }) => {
    // `Max address space  2147483648  unlimited  bytes`: the soft limit binds.
    const most = new RegExp(`^${limit}\\s+(\\d+)`, "m").exec(limits)?.[1];
    const now = new RegExp(`^${used}:\\s+(\\d+) kB`, "m").exec(status)?.[1];
    if (most === undefined || now === undefined) return Number.POSITIVE_INFINITY;
    return Math.max(0, Math.floor((Number(most) - Number(now) * 1024) / bytes));
  });
  return Math.min(...rooms);
}
