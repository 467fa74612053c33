import { readFileSync } from "node:fs";
import { release } from "node:os";
import {
  bindExtra,
  bindInBackground,
  bindLibc,
  errnoName,
  type Libc,
  lastErrno,
  MAP_FAILED,
} from "./libc.ts";
import { describeFile } from "./linux-files.ts";
import { bindFcntl, openLease } from "./linux-lease.ts";
import { bindPageOut } from "./linux-page-out.ts";
import { linuxResidency } from "./linux-residency.ts";
import { posixShim } from "./posix.ts";
import { posixLock } from "./posix-lock.ts";
import type { Shim } from "./shim.ts";
import { SystemError } from "./system-error.ts";

const RUSAGE_THREAD = 1; // sys/resource.h
const RLIMIT_MEMLOCK = 8; // asm-generic/resource.h
const CAP_IPC_LOCK = 14; // linux/capability.h
const MADV_DONTNEED = 4; // asm-generic/mman-common.h
const MADV_POPULATE_READ = 22; // since 5.14
const POSIX_FADV_NORMAL = 0; // fcntl.h
const POSIX_FADV_RANDOM = 1;
const POSIX_FADV_DONTNEED = 4;
const PROT_READ = 0x1; // sys/mman.h
const MAP_PRIVATE_ANONYMOUS = 0x22;

/** Binds the C library. @throws when koffi has no binary for this platform */
export function linuxShim(): Shim {
  const libc = bindLibc();
  const fcntl = bindFcntl();
  const advice = "int posix_fadvise(int fd, int64_t off, int64_t bytes, int advice)";
  type Fadvise = [fd: number, offset: number, byteLength: number, advice: number];
  const fadvise = bindExtra<(...args: Fadvise) => number>(advice);
  const fadviseInBackground = bindInBackground<Fadvise, number>(advice);

  const canPopulate = supportsPopulate(libc, libc.getpagesize());

  const posix = posixShim(libc, {
    MAP_ANONYMOUS: 0x20, // asm-generic/mman-common.h
    MAP_NORESERVE: process.arch === "ppc64" ? 0x40 : 0x4000, // asm-generic and powerpc mman.h
    populate: canPopulate ? MADV_POPULATE_READ : null,
    advice: { normal: 0, random: 1, "will-need": 3, "huge-pages": 14 },
    zap: MADV_DONTNEED,
    rusageWho: RUSAGE_THREAD,
  });

  return {
    ...posix,
    ...linuxResidency(libc, posix),
    ...posixLock(libc, { limit: RLIMIT_MEMLOCK, isPrivileged: () => hasCapability(CAP_IPC_LOCK) }),
    name: "linux",
    populateMayHang: canPopulate && retriesFailingReads(release()),
    canEvict: true,
    countsFaultsOf: "thread",
    // Linux reads ahead of a sequential reader by itself, and of a mapping by `will-need`.
    prefetch: () => false,
    // `/proc/meminfo` and the cgroups say more than any call.
    memory: () => null,
    describeFile: (file) => describeFile(file),
    openLease: (file) => openLease(file, fcntl),
    pageOut: bindPageOut(),

    // It sets a flag of the open file and reads nothing, so it does not wait for the device.
    adviseFile: (fd, how) =>
      fadvise(fd, 0, 0, how === "random" ? POSIX_FADV_RANDOM : POSIX_FADV_NORMAL) === 0,

    async evict(fd, offset, byteLength) {
      // Unlike the other calls it returns the error's number (posix_fadvise(3)).
      const error = await fadviseInBackground(fd, offset, byteLength, POSIX_FADV_DONTNEED);
      if (error !== 0)
        throw new SystemError(`posix_fadvise of ${byteLength} bytes`, errnoName(error));
    },
  };
}

/** Tries it on one anonymous page: kernels before 5.14 fail with EINVAL, whatever the page is. */
function supportsPopulate(libc: Libc, pageBytes: number): boolean {
  const at = libc.mmap(null, pageBytes, PROT_READ, MAP_PRIVATE_ANONYMOUS, -1, 0);
  if (at === MAP_FAILED) return false;
  let result: number;
  do result = libc.madvise(at, pageBytes, MADV_POPULATE_READ);
  while (result !== 0 && lastErrno() === "EINTR");
  libc.munmap(at, pageBytes);
  return result === 0;
}

/**
 * Kernels before 6.9 (commit 631426ba1d45, which some older ones have got since). Whether one really does shows
 * only when a read fails.
 */
function retriesFailingReads(kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split(".").map(Number.parseFloat);
  return major < 6 || (major === 6 && minor < 9);
}

/** Whether this process has a capability (proc_pid_status(5), `CapEff`). */
function hasCapability(number: number): boolean {
  try {
    const [, bits = "0"] =
      /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    return ((BigInt(`0x${bits}`) >> BigInt(number)) & 1n) === 1n;
  } catch {
    return false;
  }
}
