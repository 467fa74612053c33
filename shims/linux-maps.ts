import { constants } from "node:fs";
import { access, readFile, stat } from "node:fs/promises";
import { setImmediate as turn } from "node:timers/promises";
import type { AddressRange, FoundMapping } from "./shim.ts";

export interface SelfMapping extends FoundMapping {
  readonly dev: bigint;
  readonly ino: bigint;
  /** `undefined` for anonymous memory. */
  readonly path: string | undefined;
}

/** `7f0c-7f1c r--s 00200000 fe:00 2148530   /models/a.gguf` (proc_pid_maps(5)). */
const LINE = /^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+)\s*(.*)$/;

/** Lines parsed at a time, in a millisecond or two: a process may have 65,530 mappings. */
const STEP_LINES = 1000;

/** What this process has mapped, by address. The event loop turns meanwhile. */
export async function selfMappings(maps?: string): Promise<SelfMapping[]> {
  const lines = (maps ?? (await readFile("/proc/self/maps", "utf8"))).split("\n");
  const mappings: SelfMapping[] = [];
  for (let at = 0; at < lines.length; at += STEP_LINES) {
    if (at > 0) await turn();
    for (const line of lines.slice(at, at + STEP_LINES)) {
      const mapping = parseLine(line);
      if (mapping !== null) mappings.push(mapping);
    }
  }
  return mappings;
}

function parseLine(line: string): SelfMapping | null {
  const [, start, end, offset, major, minor, ino, path] = LINE.exec(line) ?? [];
  if (start === undefined) return null;
  const address = BigInt(`0x${start}`);
  return {
    address,
    byteLength: Number(BigInt(`0x${end}`) - address),
    offset: Number.parseInt(offset ?? "0", 16),
    dev: makeDevice(BigInt(`0x${major}`), BigInt(`0x${minor}`)),
    ino: BigInt(ino ?? 0),
    path: path?.startsWith("/") ? path : undefined,
  };
}

/**
 * Whether `mincore` tells the truth of these ranges: it calls every page resident to someone who
 * neither owns the mapped file nor may write it (mm/mincore.c, `can_do_mincore`). Anonymous memory has
 * no owner to hide it from; of a file that is gone nobody can be asked.
 */
export async function tellsResidencyOf(ranges: readonly AddressRange[]): Promise<boolean> {
  const mappings = await selfMappings();
  const paths = new Set(ranges.flatMap((range) => pathsIn(mappings, range)));
  for (const path of paths) if (!(await mayKnow(path))) return false;
  return true;
}

/** The files that are mapped in a range. */
function pathsIn(
  mappings: readonly SelfMapping[],
  { address, byteLength }: AddressRange,
): string[] {
  const end = address + BigInt(byteLength);
  // Sorted, and apart from one another: the first that ends behind the address.
  let low = 0;
  for (let high = mappings.length; low < high; ) {
    const middle = (low + high) >>> 1;
    const mapping = mappings[middle];
    if (mapping && mapping.address + BigInt(mapping.byteLength) <= address) low = middle + 1;
    else high = middle;
  }
  const paths: string[] = [];
  for (let at = low; (mappings[at]?.address ?? end) < end; at++) {
    const path = mappings[at]?.path;
    if (path !== undefined) paths.push(path);
  }
  return paths;
}

async function mayKnow(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).uid === process.geteuid?.()) return true;
    // access(2) asks for the real user, the kernel for the effective one: only where they agree does
    // its answer count.
    if (process.getuid?.() !== process.geteuid?.()) return false;
    await access(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
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
