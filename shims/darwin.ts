import { fstatSync } from "node:fs";
import { UNKNOWN_FACTS } from "./file-facts.ts";
import { bindExtra, bindLibc, expectMapping, expectZero, type Libc } from "./libc.ts";
import { posixShim } from "./posix.ts";
import { posixLock } from "./posix-lock.ts";
import type { FileRange, Shim, SystemMemory } from "./shim.ts";
import { SystemError } from "./system-error.ts";

// This file has not been run on macOS. It differs from Linux only by the constants here, which can be
// compared with Apple's headers, and by the two functions at the end.

const CONSTANTS = {
  MAP_ANONYMOUS: 0x1000, // sys/mman.h, MAP_ANON
  MAP_NORESERVE: 0x40, // sys/mman.h; accepted and ignored
  // macOS has no call that fills pages and reports an error in place of a signal: a sweep reads the file.
  populate: null,
  // No `will-need`: on Darwin it blocks and reads everything (llama.cpp issue 29250).
  advice: {},
  // MADV_DONTNEED (sys/mman.h) deactivates pages on macOS and keeps the page tables.
  zap: null,
  rusageWho: 0, // sys/resource.h, RUSAGE_SELF
} as const;

const PROT_READ = 0x01; // sys/mman.h
const MAP_SHARED = 0x0001; // sys/mman.h
const MS_INVALIDATE = 0x0002; // sys/mman.h
const F_RDADVISE = 44; // sys/fcntl.h
const F_RDAHEAD = 45; // sys/fcntl.h
const RLIMIT_MEMLOCK = 6; // sys/resource.h

/** `radvisory.ra_count` is an int (sys/fcntl.h). */
const MOST_ADVISED_BYTES = 2 ** 31 - 1;

/** The calls that only macOS needs. */
function bindDarwinCalls() {
  return {
    // Variadic as in fcntl.h: on Apple silicon variadic arguments are passed on the stack.
    fcntl: bindExtra<
      (fd: number, command: number, type: "void *" | "int", argument: DataView | number) => number
    >("int fcntl(int fd, int command, ...)"),
    msync: bindExtra<(at: bigint, bytes: number, flags: number) => number>(
      "int msync(void *at, size_t bytes, int flags)",
    ),
    sysctlbyname: bindExtra<
      (name: string, value: Uint8Array, bytes: BigUint64Array, set: null, setBytes: 0) => number
    >("int sysctlbyname(const char *name, void *value, void *bytes, void *set, size_t setBytes)"),
  };
}

export type DarwinCalls = ReturnType<typeof bindDarwinCalls>;

/** The macOS shim. Mappings serve zero-copy views and residency; a sweep reads the file. */
export function darwinShim(libc: Libc = bindLibc(), calls = bindDarwinCalls()): Shim {
  const posix = posixShim(libc, CONSTANTS);
  return {
    ...posix,
    // The limit is not the superuser's either (mlock(2)).
    ...posixLock(libc, { limit: RLIMIT_MEMLOCK, isPrivileged: () => false }),
    name: "darwin",
    canEvict: true,
    countsFaultsOf: "process",
    prefetch: (ranges) => ranges.map((range) => readAdvise(calls, range)).every(Boolean),
    openLease: () => null,
    adviseFile: (fd, advice) =>
      calls.fcntl(fd, F_RDAHEAD, "int", advice === "normal" ? 1 : 0) !== -1,
    describeFile: async () => UNKNOWN_FACTS,
    findMappings: async () => null,
    mappedFiles: async () => null,
    async pageOut() {
      throw new SystemError("pageOut", "ENOTSUP");
    },
    memory: () => darwinMemory(calls, posix.pageBytes),

    /** As vmtouch does on macOS: drops the pages of a mapping of the file from the page cache. */
    async evict(fd, offset, byteLength) {
      if (byteLength === 0) return;
      const what = `of ${byteLength} bytes at offset ${offset}`;
      const at = libc.mmap(null, byteLength, PROT_READ, MAP_SHARED, fd, offset);
      expectMapping(at, `mmap ${what}`);
      try {
        expectZero(calls.msync(at, byteLength, MS_INVALIDATE), `msync(MS_INVALIDATE) ${what}`);
      } finally {
        libc.munmap(at, byteLength);
      }
    },
  };
}

/** `struct radvisory { off_t ra_offset; int ra_count; }`; a count of 0 or past the end is an error. */
function readAdvise({ fcntl }: DarwinCalls, { fd, offset, byteLength }: FileRange): boolean {
  const end = Math.min(offset + byteLength, fstatSync(fd).size);
  if (end <= offset) return false;
  const advisory = new DataView(new ArrayBuffer(16));
  advisory.setBigInt64(0, BigInt(offset), true);
  advisory.setInt32(8, Math.min(end - offset, MOST_ADVISED_BYTES), true);
  return fcntl(fd, F_RDADVISE, "void *", advisory) !== -1;
}

/**
 * The memory of the machine. `os.freemem()` leaves out reclaimable pages of files, so free pages, pages
 * of files and purgeable pages are added up; speculative pages are among those of files
 * (xnu bsd/vm/vm_unix.c).
 */
function darwinMemory({ sysctlbyname }: DarwinCalls, pageBytes: number): SystemMemory | null {
  // An unsigned int or a 64-bit number: little-endian, bytes that are not written stay 0.
  const read = (name: string): number => {
    const value = new DataView(new ArrayBuffer(8));
    const bytes = BigUint64Array.of(8n);
    const failed = sysctlbyname(name, new Uint8Array(value.buffer), bytes, null, 0) !== 0;
    return failed ? Number.NaN : Number(value.getBigUint64(0, true));
  };
  const totalBytes = read("hw.memsize");
  const pages =
    read("vm.page_free_count") +
    read("vm.page_pageable_external_count") +
    read("vm.page_purgeable_count");
  const availableBytes = Math.min(totalBytes, pages * pageBytes);
  return Number.isNaN(availableBytes) ? null : { totalBytes, availableBytes };
}
