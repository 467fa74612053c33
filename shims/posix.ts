import { addressOf, bindExtra, expectMapping, expectZero, type Libc, lastErrno } from "./libc.ts";
import type { Advice, Faults, Shim } from "./shim.ts";
import { SystemError } from "./system-error.ts";

/** Where the POSIX systems differ in numbers. Each names the header it comes from. */
export interface PosixConstants {
  /** `sys/mman.h` */
  readonly MAP_ANONYMOUS: number;
  /** `sys/mman.h` */
  readonly MAP_NORESERVE: number;
  /** `MADV_POPULATE_READ`, where the system has it. */
  readonly populate: number | null;
  /** The system's number for each advice, where it has one. */
  readonly advice: Readonly<Partial<Record<Advice, number>>>;
  /** `RUSAGE_THREAD`, or `RUSAGE_SELF` where threads are not told apart. */
  readonly rusageWho: number;
}

// The same on every POSIX system Node runs on (sys/mman.h).
const PROT_READ = 0x1;
const PROT_WRITE = 0x2;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;

/** `struct rusage` in 64-bit words: two timevals, then 14 longs of which minflt is the fifth. */
const RUSAGE_WORDS = 18;
const RU_MINFLT = 8;
const RU_MAJFLT = 9;

/** The other bits of a page's byte are the system's own and may be set (mincore(2)). */
const RESIDENT = 1;

function countResident(pages: Uint8Array): number {
  let resident = 0;
  for (const page of pages) resident += page & RESIDENT;
  return resident;
}

/** The part that Linux and macOS share. */
export function posixShim(libc: Libc, constants: PosixConstants) {
  const { MAP_ANONYMOUS, MAP_NORESERVE } = constants;
  const pageBytes = libc.getpagesize();
  const usage = new BigInt64Array(RUSAGE_WORDS);

  function residencyMap(fd: number, offset: number, byteLength: number): Uint8Array {
    // Nothing cannot be mapped.
    if (byteLength === 0) return new Uint8Array();
    const pages = new Uint8Array(Math.ceil(byteLength / pageBytes));
    // Never touched, so it cannot raise a signal, whatever happens to the file.
    const at = expectMapping(
      libc.mmap(null, byteLength, PROT_READ, MAP_SHARED, fd, offset),
      `mmap of ${byteLength} bytes at offset ${offset}`,
    );
    try {
      expectZero(libc.mincore(at, byteLength, pages), `mincore of ${byteLength} bytes`);
    } finally {
      libc.munmap(at, byteLength);
    }
    return pages.map((page) => page & RESIDENT);
  }

  return {
    pageBytes,
    canPlace: true,
    canPopulate: constants.populate !== null,
    addressOf,

    place(address, byteLength, fd, offset) {
      // MAP_NORESERVE: a private writable mapping counts against the overcommit limit without it,
      // and a model is larger than the machine's memory by nature.
      const flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE;
      expectMapping(
        libc.mmap(address, byteLength, PROT_READ | PROT_WRITE, flags, fd, offset),
        `mmap of ${byteLength} bytes at offset ${offset}`,
      );
    },

    restore(address, byteLength) {
      const flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE | MAP_ANONYMOUS;
      expectMapping(
        libc.mmap(address, byteLength, PROT_READ | PROT_WRITE, flags, -1, 0),
        `mmap of ${byteLength} anonymous bytes`,
      );
    },

    openView: () => null,

    advise(address, byteLength, advice) {
      const number = constants.advice[advice];
      return number !== undefined && libc.madvise(address, byteLength, number) === 0;
    },

    populate(address, byteLength) {
      const number = constants.populate;
      if (number === null) throw new SystemError("populate", "ENOTSUP");
      let result: number;
      do result = libc.madvise(address, byteLength, number);
      while (result !== 0 && lastErrno() === "EINTR");
      expectZero(result, `madvise(MADV_POPULATE_READ) of ${byteLength} bytes`);
    },

    async populateInBackground(address, byteLength) {
      if (constants.populate === null) return;
      await libc.madviseInBackground(address, byteLength, constants.populate);
    },

    residencyMap,

    residentBytesAt(address, byteLength) {
      const pages = new Uint8Array(Math.ceil(byteLength / pageBytes));
      expectZero(libc.mincore(address, byteLength, pages), `mincore of ${byteLength} bytes`);
      return countResident(pages) * pageBytes;
    },

    residentBytes(fd, offset, byteLength) {
      return countResident(residencyMap(fd, offset, byteLength)) * pageBytes;
    },

    exit(code) {
      bindExtra<(code: number) => void>("void _exit(int code)")(code);
    },

    faults(): Faults {
      libc.getrusage(constants.rusageWho, usage);
      return { minor: Number(usage[RU_MINFLT]), major: Number(usage[RU_MAJFLT]) };
    },
  } satisfies Partial<Shim>;
}
