import { readFileSync } from "node:fs";
import type { FoundMapping } from "./shim.ts";

export interface SelfMapping extends FoundMapping {
  readonly dev: bigint;
  readonly ino: bigint;
  /** `undefined` for anonymous memory. */
  readonly path: string | undefined;
}

/** `7f0c-7f1c r--s 00200000 fe:00 2148530   /models/a.gguf` (proc_pid_maps(5)). */
const LINE = /^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+)\s*(.*)$/;

/** What this process has mapped, by address. */
export function selfMappings(maps = readFileSync("/proc/self/maps", "utf8")): SelfMapping[] {
  return maps.split("\n").flatMap((line) => {
    const [, start, end, offset, major, minor, ino, path] = LINE.exec(line) ?? [];
    if (start === undefined) return [];
    const address = BigInt(`0x${start}`);
    return [
      {
        address,
        byteLength: Number(BigInt(`0x${end}`) - address),
        offset: Number.parseInt(offset ?? "0", 16),
        dev: makeDevice(BigInt(`0x${major}`), BigInt(`0x${minor}`)),
        ino: BigInt(ino ?? 0),
        path: path?.startsWith("/") ? path : undefined,
      },
    ];
  });
}

/** As glibc's `makedev` packs it, and `stat` gives it. */
function makeDevice(major: bigint, minor: bigint): bigint {
  return (
    ((major & 0xfffff000n) << 32n) |
    ((major & 0xfffn) << 8n) |
    ((minor & 0xffffff00n) << 12n) |
    (minor & 0xffn)
  );
}
