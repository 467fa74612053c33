import { readFile, stat } from "node:fs/promises";
import type { DescribedFile } from "./file-facts.ts";
import { bindExtra, bindInBackground, type Libc, MAP_FAILED } from "./libc.ts";
import { mayKnow } from "./linux-files.ts";
import { filesOf, type ListedMapping, mappingsAt, parseMappings } from "./linux-maps.ts";
import { mountOfPath, parseMounts } from "./mount-table.ts";
import { countResident, type PosixShim } from "./posix.ts";
import type { Shim } from "./shim.ts";

const PROT_READ = 0x1; // sys/mman.h
const MAP_SHARED = 0x01;

const CACHESTAT = 451; // since 6.5; the same on every architecture but Alpha
const NR_CACHE = 0; // first word of struct cachestat
const CACHESTAT_WORDS = 5;

const SYSCALL = "long syscall(long n, int fd, void *range, void *out, unsigned int flags)";

type Questions = Pick<
  Shim,
  "residentBytes" | "residentBytesInBackground" | "residentBytesAt" | "findMappings" | "mappedFiles"
>;

/**
 * How Linux answers what is resident: by `cachestat` where the kernel has it, else by `mincore` on a
 * mapping. `cachestat` needs no mapping, and counts a large folio as fast as a small one.
 *
 * `cachestat` fails with EPERM for a process that may not know, and so does a seccomp profile that does
 * not list it: `mincore` is asked next, whatever the reason was.
 */
export function linuxResidency(libc: Libc, posix: PosixShim): Questions {
  const { pageBytes } = posix;
  const background = bindBackgroundCalls();
  const syscall =
    bindExtra<
      (n: number, fd: number, range: BigUint64Array, out: BigUint64Array, flags: number) => number
    >(SYSCALL);

  const argumentsFor = (offset: number, byteLength: number) => ({
    range: BigUint64Array.of(BigInt(offset), BigInt(byteLength)),
    counts: new BigUint64Array(CACHESTAT_WORDS),
  });
  const counted = (result: number, counts: BigUint64Array) =>
    result === 0 ? Number(counts[NR_CACHE]) * pageBytes : null;

  /** Whether a count is the answer. A 0 is not where another file may hold the pages. */
  const isAnswer = (count: number | null, { facts }: DescribedFile) =>
    count !== null && (count > 0 || !facts.countsOnlyItsOwn);

  return {
    residentBytes(file, offset, byteLength) {
      // A length of 0 means "to the end of the file" to cachestat.
      if (byteLength === 0) return 0;
      const { range, counts } = argumentsFor(offset, byteLength);
      const count = file.facts.countsPages
        ? counted(syscall(CACHESTAT, file.fd, range, counts, 0), counts)
        : null;
      return isAnswer(count, file)
        ? count
        : (posix.residentBytes(file, offset, byteLength) ?? count);
    },

    async residentBytesInBackground(file, offset, byteLength) {
      if (byteLength === 0) return 0;
      const { range, counts } = argumentsFor(offset, byteLength);
      const count = file.facts.countsPages
        ? counted(await background.syscall(CACHESTAT, file.fd, range, counts, 0), counts)
        : null;
      if (isAnswer(count, file)) return count;
      return (await byMapping(background, libc, pageBytes, file, offset, byteLength)) ?? count;
    },

    async residentBytesAt(ranges) {
      const all = [...ranges];
      const mappings = mappingsAt(await mappingsOf(), all);
      // A range that is not mapped has no answer.
      if (mappings === null || !(await mayKnowMappings(mappings))) return null;
      return posix.residentBytesAt(all);
    },

    async findMappings(paths, pid) {
      const asked = [paths].flat();
      const files = await Promise.all(asked.map((path) => stat(path, { bigint: true })));
      const keys = new Set(files.map(keyOf));
      return (await mappingsOf(pid)).filter((each) => keys.has(keyOf(each)));
    },

    async mappedFiles(pid) {
      return filesOf(parseMappings(await readFile(`/proc/${pid}/maps`, "utf8")));
    },
  };
}

/** The calls on libuv's threads, for files whose server may not answer. */
function bindBackgroundCalls() {
  return {
    syscall: bindInBackground<
      [n: number, fd: number, range: BigUint64Array, out: BigUint64Array, flags: number],
      number
    >(SYSCALL),
    mmap: bindInBackground<
      [at: null, bytes: number, prot: number, flags: number, fd: number, offset: number],
      bigint
    >("void *mmap(void *at, size_t bytes, int prot, int flags, int fd, int64_t off)"),
    mincore: bindInBackground<[at: bigint, bytes: number, pages: Uint8Array], number>(
      "int mincore(void *at, size_t bytes, void *pages)",
    ),
  };
}

/** As the POSIX shim does it, each call on a thread of libuv's. */
async function byMapping(
  { mmap, mincore }: ReturnType<typeof bindBackgroundCalls>,
  { munmap }: Libc,
  pageBytes: number,
  { fd, facts }: DescribedFile,
  offset: number,
  byteLength: number,
): Promise<number | null> {
  if (!facts.mayKnow || !facts.mayMap) return null;
  const at = await mmap(null, byteLength, PROT_READ, MAP_SHARED, fd, offset);
  if (at === MAP_FAILED) return null;
  try {
    const pages = new Uint8Array(Math.ceil(byteLength / pageBytes));
    const result = await mincore(at, byteLength, pages);
    return result === 0 ? countResident(pages) * pageBytes : null;
  } finally {
    munmap(at, byteLength);
  }
}

/** One file has one, whichever path leads to it. */
function keyOf({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): string {
  return `${dev}:${ino}`;
}

async function mappingsOf(pid: number | "self" = "self"): Promise<ListedMapping[]> {
  // Without `/proc`, and of a process that may not be looked at, no mapping is known.
  return parseMappings(await readFile(`/proc/${pid}/maps`, "utf8").catch(() => ""));
}

/** Anonymous memory has no owner; a mapped file that is deleted has no path to ask for its owner. */
async function mayKnowMappings(mappings: readonly ListedMapping[]): Promise<boolean> {
  const paths = new Set(mappings.flatMap(({ path }) => (path === undefined ? [] : [path])));
  const mounts = parseMounts(await readFile("/proc/self/mountinfo", "utf8").catch(() => ""));
  for (const path of paths) {
    const mount = mountOfPath(mounts, path);
    const found = await stat(path, { bigint: true }).catch(() => undefined);
    if (found === undefined || !(await mayKnow(found.uid, path, mount))) return false;
  }
  return true;
}
