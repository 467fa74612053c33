import { accessSync, closeSync, constants as fs, openSync, statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { bindExtra, bindLibc, errnoName, lastErrno } from "./libc.ts";
import { selfMappings, tellsResidencyOf } from "./linux-maps.ts";
import { countsPages, isLocal, isSpinning, readAheadBytes } from "./linux-storage.ts";
import { posixShim } from "./posix.ts";
import type { Fence, Shim } from "./shim.ts";
import { SystemError } from "./system-error.ts";

const RUSAGE_THREAD = 1; // sys/resource.h
const MADV_POPULATE_READ = 22; // asm-generic/mman-common.h, since 5.14
const POSIX_FADV_DONTNEED = 4; // fcntl.h

const CACHESTAT = 451; // since 6.5; the same on every architecture but Alpha
const NR_CACHE = 0; // first word of struct cachestat

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
  const syscall = bindExtra<
    (n: number, fd: number, range: BigUint64Array, out: BigUint64Array, flags: number) => number
  >("long syscall(long n, int fd, void *range, void *out, unsigned int flags)");
  const fcntl = bindExtra<(fd: number, command: number, argument: number) => number>(
    "int fcntl(int fd, int command, int argument)",
  );

  const posix = posixShim(libc, {
    MAP_ANONYMOUS: 0x20, // asm-generic/mman-common.h
    MAP_NORESERVE: process.arch === "ppc64" ? 0x40 : 0x4000, // asm-generic and powerpc mman.h
    populate: MADV_POPULATE_READ,
    advice: { normal: 0, random: 1, "will-need": 3, "drop-tables": 4, "huge-pages": 14 },
    rusageWho: RUSAGE_THREAD,
  });

  /**
   * `mincore` calls every page resident to someone who neither owns the file nor may write it
   * (mm/mincore.c, `can_do_mincore`): its answer counts only for those who may know.
   */
  function mayKnow(fd: number): boolean {
    const path = `/proc/self/fd/${fd}`;
    try {
      if (statSync(path).uid === process.geteuid?.()) return true;
      // access(2) asks for the real user, the kernel for the effective one: only where they agree
      // does its answer count.
      if (process.getuid?.() !== process.geteuid?.()) return false;
      accessSync(path, fs.W_OK);
      return true;
    } catch {
      return false;
    }
  }

  return {
    ...posix,
    name: "linux",
    canPopulate: supportsPopulate(libc, posix.pageBytes),
    canEvict: true,
    countsFaultsOf: "thread",
    // Linux reads ahead of a sequential reader by itself, and of a mapping by `will-need`.
    prefetch: () => false,
    memory: () => null,

    residencyMap(fd, offset, byteLength) {
      return mayKnow(fd) ? posix.residencyMap(fd, offset, byteLength) : null;
    },

    residentBytes(fd, offset, byteLength) {
      // A length of 0 means "to the end of the file" to cachestat.
      if (byteLength === 0) return 0;
      if (countsPages(fd)) {
        // cachestat counts without a mapping, and a large folio costs it as much as a small one.
        const range = BigUint64Array.of(BigInt(offset), BigInt(byteLength));
        const counts = new BigUint64Array(5);
        if (syscall(CACHESTAT, fd, range, counts, 0) === 0) {
          return Number(counts[NR_CACHE]) * posix.pageBytes;
        }
        if (lastErrno() === "EPERM") return null;
      }
      return mayKnow(fd) ? posix.residentBytes(fd, offset, byteLength) : null;
    },

    tellsResidencyAt: tellsResidencyOf,

    async findMappings(path) {
      const { dev, ino } = await stat(path, { bigint: true });
      return (await selfMappings()).filter((each) => each.ino === ino && each.dev === dev);
    },

    evict(fd, offset, byteLength) {
      // Unlike the other calls it returns the error's number (posix_fadvise(3)).
      const error = fadvise(fd, offset, byteLength, POSIX_FADV_DONTNEED);
      if (error !== 0)
        throw new SystemError(`posix_fadvise of ${byteLength} bytes`, errnoName(error));
    },

    isLocal,
    isSpinning,
    readAheadBytes,

    openFence(fd) {
      // Who writes by way of another kernel is not stopped by a lease of this one.
      return isLocal(fd) ? leaseFence(fd, fcntl) : null;
    },
  };
}

/** Asked of one anonymous page: kernels before 5.14 answer EINVAL, whatever the page is. */
function supportsPopulate(libc: ReturnType<typeof bindLibc>, pageBytes: number): boolean {
  const [PROT_READ, MAP_PRIVATE_ANONYMOUS] = [0x1, 0x22];
  const at = libc.mmap(null, pageBytes, PROT_READ, MAP_PRIVATE_ANONYMOUS, -1, 0);
  const supported = libc.madvise(at, pageBytes, MADV_POPULATE_READ) === 0;
  libc.munmap(at, pageBytes);
  return supported;
}

/**
 * A read lease (fcntl(2), "Leases"): whoever opens the file for writing or truncates it waits until
 * the lease is gone, so what was checked under it stays true under it. It is granted to the file's
 * owner, while no one has the file open for writing.
 *
 * The lease belongs to an open file description, so each fence opens its own. The kernel tells the
 * holder of a waiting writer by a signal, SIGIO by default, which would end the process: SIGURG is
 * ignored instead. Nobody waits long, since a fence is held for one window only.
 */
function leaseFence(
  fd: number,
  fcntl: (fd: number, command: number, argument: number) => number,
): Fence | null {
  let own: number;
  try {
    own = openSync(`/proc/self/fd/${fd}`, "r");
  } catch {
    return null;
  }
  return {
    // The signal each time: giving a lease up sets it back to SIGIO (fs/locks.c, `lease_modify`).
    hold: () => fcntl(own, F_SETSIG, SIGURG) === 0 && fcntl(own, F_SETLEASE, F_RDLCK) === 0,
    release: () => void fcntl(own, F_SETLEASE, F_UNLCK),
    close: () => closeSync(own),
  };
}
