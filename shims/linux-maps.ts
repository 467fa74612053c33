import type { AddressRange, FoundMapping, MappedFile } from "./shim.ts";

export interface ListedMapping extends FoundMapping {
  readonly dev: bigint;
  readonly ino: bigint;
  /** `undefined` for anonymous memory. */
  readonly path: string | undefined;
}

/** `7f0c-7f1c r--s 00200000 fe:00 2148530   /models/a.gguf` (proc_pid_maps(5)). */
const LINE = /^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+)\s*(.*)$/;

/** The mappings of a process, sorted by address. @param maps its `/proc/PID/maps` */
export function parseMappings(maps: string): ListedMapping[] {
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

/** The files of mappings, each once. */
export function filesOf(mappings: readonly ListedMapping[]): MappedFile[] {
  const files = new Map<string, MappedFile>();
  for (const { path, dev, ino, byteLength } of mappings) {
    if (path === undefined) continue;
    const key = `${dev}:${ino}`;
    const known = files.get(key)?.byteLength ?? 0;
    files.set(key, { paths: namesOf(path), ino, byteLength: known + byteLength });
  }
  return [...files.values()];
}

/** The kernel writes a line feed as `\012`, and a backslash as it is (fs/proc/task_mmu.c). */
function namesOf(path: string): string[] {
  return [...new Set([path, path.replaceAll("\\012", "\n")])];
}

/**
 * The mappings that ranges lie in; `null` when a part of a range is not mapped.
 *
 * @param mappings sorted by address
 */
export function mappingsAt(
  mappings: readonly ListedMapping[],
  ranges: readonly AddressRange[],
): ListedMapping[] | null {
  const found = new Set<ListedMapping>();
  for (const { address, byteLength } of ranges) {
    const end = address + BigInt(byteLength);
    for (let at = address; at < end; ) {
      const mapping = mappings[lastFrom(mappings, at)];
      const reach = mapping === undefined ? at : mapping.address + BigInt(mapping.byteLength);
      if (mapping === undefined || reach <= at) return null;
      found.add(mapping);
      at = reach;
    }
  }
  return [...found];
}

/** Index of the last mapping that begins at an address or below it; -1 when there is none. */
function lastFrom(mappings: readonly ListedMapping[], address: bigint): number {
  let [low, high] = [0, mappings.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((mappings[middle]?.address ?? address) <= address) low = middle + 1;
    else high = middle;
  }
  return low - 1;
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
