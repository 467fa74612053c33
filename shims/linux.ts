import { closeSync, constants as fs, fstatSync, openSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import {
  bindExtra,
  bindInBackground,
  bindLibc,
  errnoName,
  type Libc,
  lastErrno,
  MAP_FAILED,
} from "./libc.ts";
import { describeFile, mayKnow } from "./linux-files.ts";
import { mappingsAt, parseMappings, type SelfMapping } from "./linux-maps.ts";
import { countResident, posixShim } from "./posix.ts";
import type { DescribedFile, FileLease, Shim } from "./shim.ts";
import { SystemError } from "./system-error.ts";

const RUSAGE_THREAD = 1; // sys/resource.h
const MADV_DONTNEED = 4; // asm-generic/mman-common.h
const MADV_POPULATE_READ = 22; // since 5.14
const POSIX_FADV_NORMAL = 0; // fcntl.h
const POSIX_FADV_RANDOM = 1;
const POSIX_FADV_DONTNEED = 4;
const PROT_READ = 0x1; // sys/mman.h
const MAP_SHARED = 0x01;

const CACHESTAT = 451; // since 6.5; the same on every architecture but Alpha
const NR_CACHE = 0; // first word of struct cachestat
const CACHESTAT_WORDS = 5;

const F_SETSIG = 10; // fcntl.h
const F_SETLEASE = 1024;
const F_RDLCK = 0;
const F_UNLCK = 2;
const SIGURG = 23; // its default action is to be ignored

/** Binds the C library. @throws when koffi has no binary for this platform */
export function linuxShim(): Shim {
  const libc = bindLibc();
  const fadvise = bindExtra<(fd: number, off: number, bytes: number, advice: number) => number>(
    "int posix_fadvise(int fd, int64_t off, int64_t bytes, int advice)",
  );
  const background = bindBackgroundCalls();
  const syscall =
    bindExtra<
      (n: number, fd: number, range: BigUint64Array, out: BigUint64Array, flags: number) => number
    >(SYSCALL);
  const fcntl = bindExtra<(fd: number, command: number, argument: number) => number>(
    "int fcntl(int fd, int command, int argument)",
  );

  const posix = posixShim(libc, {
    MAP_ANONYMOUS: 0x20, // asm-generic/mman-common.h
    MAP_NORESERVE: process.arch === "ppc64" ? 0x40 : 0x4000, // asm-generic and powerpc mman.h
    populate: MADV_POPULATE_READ,
    advice: { normal: 0, random: 1, "will-need": 3, "huge-pages": 14 },
    zap: MADV_DONTNEED,
    rusageWho: RUSAGE_THREAD,
  });
  const { pageBytes } = posix;

  /** Counts without a mapping, and a large folio costs it as much as a small one. */
  const counting = (offset: number, byteLength: number) => ({
    range: BigUint64Array.of(BigInt(offset), BigInt(byteLength)),
    counts: new BigUint64Array(CACHESTAT_WORDS),
  });
  const counted = (result: number, counts: BigUint64Array) =>
    result === 0 ? Number(counts[NR_CACHE]) * pageBytes : null;

  /** Whether a count is the answer: no count at all, or none of a file that others may stand for. */
  const isAnswer = (count: number | null, { facts }: DescribedFile) =>
    count !== null && (count > 0 || !facts.countsOnlyItsOwn);

  return {
    ...posix,
    name: "linux",
    canPopulate: supportsPopulate(libc, pageBytes),
    canEvict: true,
    countsFaultsOf: "thread",
    // Linux reads ahead of a sequential reader by itself, and of a mapping by `will-need`.
    prefetch: () => false,
    memory: () => null,
    describeFile: (file) => describeFile(file),

    // cachestat says EPERM to who may not know, and so does a seccomp profile that does not know
    // cachestat: `mincore` is asked next, whatever the reason was.
    residentBytes(file, offset, byteLength) {
      // A length of 0 means "to the end of the file" to cachestat.
      if (byteLength === 0) return 0;
      const { range, counts } = counting(offset, byteLength);
      const count = file.facts.countsPages
        ? counted(syscall(CACHESTAT, file.fd, range, counts, 0), counts)
        : null;
      return isAnswer(count, file)
        ? count
        : (posix.residentBytes(file, offset, byteLength) ?? count);
    },

    async residentBytesInBackground(file, offset, byteLength) {
      if (byteLength === 0) return 0;
      const { range, counts } = counting(offset, byteLength);
      const count = file.facts.countsPages
        ? counted(await background.syscall(CACHESTAT, file.fd, range, counts, 0), counts)
        : null;
      return isAnswer(count, file)
        ? count
        : ((await mappedInBackground(background, libc, pageBytes, file, offset, byteLength)) ??
            count);
    },

    async residentBytesAt(ranges) {
      const all = [...ranges];
      const mappings = mappingsAt(await selfMappings(), all);
      // Of a range that is not mapped nothing is known.
      if (mappings === null || !(await mayKnowMappings(mappings))) return null;
      return posix.residentBytesAt(all);
    },

    async findMappings(path) {
      const { dev, ino } = await stat(path, { bigint: true });
      return (await selfMappings()).filter((each) => each.ino === ino && each.dev === dev);
    },

    // It sets a flag of the open file and reads nothing, so it does not wait for the device.
    adviseFile: (fd, advice) =>
      fadvise(fd, 0, 0, advice === "random" ? POSIX_FADV_RANDOM : POSIX_FADV_NORMAL) === 0,

    async evict(fd, offset, byteLength) {
      // Unlike the other calls it returns the error's number (posix_fadvise(3)).
      const error = await background.fadvise(fd, offset, byteLength, POSIX_FADV_DONTNEED);
      if (error !== 0)
        throw new SystemError(`posix_fadvise of ${byteLength} bytes`, errnoName(error));
    },

    openLease(file) {
      // Who writes by way of another kernel is not stopped by a lease of this one.
      return file.facts.isLocal ? openLease(file, fcntl) : null;
    },
  };
}

const SYSCALL = "long syscall(long n, int fd, void *range, void *out, unsigned int flags)";

/** For files whose server may not answer, and for what takes long. */
function bindBackgroundCalls() {
  return {
    syscall: bindInBackground<
      [n: number, fd: number, range: BigUint64Array, out: BigUint64Array, flags: number],
      number
    >(SYSCALL),
    fadvise: bindInBackground<
      [fd: number, offset: number, byteLength: number, advice: number],
      number
    >("int posix_fadvise(int fd, int64_t off, int64_t bytes, int advice)"),
    mmap: bindInBackground<
      [at: null, bytes: number, prot: number, flags: number, fd: number, offset: number],
      bigint
    >("void *mmap(void *at, size_t bytes, int prot, int flags, int fd, int64_t off)"),
    mincore: bindInBackground<[at: bigint, bytes: number, pages: Uint8Array], number>(
      "int mincore(void *at, size_t bytes, void *pages)",
    ),
  };
}

/** As the POSIX shim does it, step by step on libuv's threads. */
async function mappedInBackground(
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

async function selfMappings(): Promise<SelfMapping[]> {
  // Without `/proc` nothing is known of any.
  return parseMappings(await readFile("/proc/self/maps", "utf8").catch(() => ""));
}

/** Anonymous memory has no owner to hide it from; of a file that is gone nobody can be asked. */
async function mayKnowMappings(mappings: readonly SelfMapping[]): Promise<boolean> {
  const paths = new Set(mappings.flatMap(({ path }) => (path === undefined ? [] : [path])));
  for (const path of paths) {
    const found = await stat(path, { bigint: true }).catch(() => undefined);
    if (found === undefined || !(await mayKnow(found.uid, path))) return false;
  }
  return true;
}

/** Asked of one anonymous page: kernels before 5.14 answer EINVAL, whatever the page is. */
function supportsPopulate(libc: Libc, pageBytes: number): boolean {
  const MAP_PRIVATE_ANONYMOUS = 0x22;
  const at = libc.mmap(null, pageBytes, PROT_READ, MAP_PRIVATE_ANONYMOUS, -1, 0);
  if (at === MAP_FAILED) return false;
  let result: number;
  do result = libc.madvise(at, pageBytes, MADV_POPULATE_READ);
  while (result !== 0 && lastErrno() === "EINTR");
  libc.munmap(at, pageBytes);
  return result === 0;
}

/**
 * A read lease (fcntl(2), "Leases"): whoever opens the file for writing or truncates it waits until
 * the lease is gone, so what was checked under it stays true under it. It is granted to the file's
 * owner, while no one has the file open for writing.
 *
 * The lease belongs to an open file description, so each one opens its own. The kernel tells the
 * holder of a waiting writer by a signal, SIGIO by default, which would end the process: SIGURG is
 * ignored instead. Nobody waits long, since a lease is held for one window only.
 */
function openLease(
  file: DescribedFile,
  fcntl: (fd: number, command: number, argument: number) => number,
): FileLease | null {
  const own = openAgain(file);
  if (own === null) return null;
  return {
    // The signal each time: giving a lease up sets it back to SIGIO (fs/locks.c, `lease_modify`).
    hold: () => fcntl(own, F_SETSIG, SIGURG) === 0 && fcntl(own, F_SETLEASE, F_RDLCK) === 0,
    release: () => void fcntl(own, F_SETLEASE, F_UNLCK),
    close: () => closeSync(own),
  };
}

/** The same file under a descriptor of its own; without `/proc` by its path, if that still leads there. */
function openAgain({ fd, path }: DescribedFile): number | null {
  const wanted = fstatSync(fd, { bigint: true });
  for (const name of [`/proc/self/fd/${fd}`, path]) {
    try {
      const own = openSync(name, fs.O_RDONLY | fs.O_NONBLOCK);
      const { dev, ino } = fstatSync(own, { bigint: true });
      if (dev === wanted.dev && ino === wanted.ino) return own;
      closeSync(own);
    } catch {
      // The next name may do.
    }
  }
  return null;
}
