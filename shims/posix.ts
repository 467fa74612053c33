import type { DescribedFile } from "./file-facts.ts";
import {
  addressOf,
  bindExtra,
  expectMapping,
  expectZero,
  type Libc,
  lastErrno,
  MAP_FAILED,
} from "./libc.ts";
import type { Advice, Faults, Shim } from "./shim.ts";
import { inSteps } from "./steps.ts";
import { SystemError } from "./system-error.ts";

/** The numbers in which POSIX systems differ. */
export interface PosixConstants {
  /** `sys/mman.h` */
  readonly MAP_ANONYMOUS: number;
  /** `sys/mman.h` */
  readonly MAP_NORESERVE: number;
  /** `MADV_POPULATE_READ`, where the system has it. */
  readonly populate: number | null;
  /** The system's number for each advice, where it has one. */
  readonly advice: Readonly<Partial<Record<Advice, number>>>;
  /** The advice that drops page tables, private copies included, where the system has one. */
  readonly zap: number | null;
  /** `RUSAGE_THREAD`, or `RUSAGE_SELF` where the system does not count by thread. */
  readonly rusageWho: number;
}

// The same on every POSIX system Node runs on (sys/mman.h).
const PROT_NONE = 0x0;
const PROT_READ = 0x1;
const PROT_WRITE = 0x2;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;

/** `struct rusage` in 64-bit words: two timevals, then 14 longs of which minflt is the fifth. */
const RUSAGE_WORDS = 18;
const RU_MINFLT = 8;
const RU_MAJFLT = 9;

/** The bit of a resident page. Other bits of the byte are undefined and may be set (mincore(2)). */
const RESIDENT = 1;

/** `mincore` over this much takes 1 to 2 ms; the event loop runs between two calls. */
const STEP_BYTES = 256 * 1024 ** 2;

export function countResident(pages: Uint8Array): number {
  let resident = 0;
  for (const page of pages) resident += page & RESIDENT;
  return resident;
}

export type PosixShim = ReturnType<typeof posixShim>;

/** The part that Linux and macOS share. */
export function posixShim(libc: Libc, constants: PosixConstants) {
  const { MAP_ANONYMOUS, MAP_NORESERVE } = constants;
  const pageBytes = libc.getpagesize();
  const usage = new BigInt64Array(RUSAGE_WORDS);

  /** By a mapping that is never touched, so that it raises no signal when the file shrinks. */
  function residentBytes({ fd, facts }: DescribedFile, offset: number, byteLength: number) {
    // mmap refuses a length of 0.
    if (byteLength === 0) return 0;
    if (!facts.mayKnow || !facts.mayMap) return null;
    const at = libc.mmap(null, byteLength, PROT_READ, MAP_SHARED, fd, offset);
    if (at === MAP_FAILED) return null;
    try {
      return residentAt(at, byteLength);
    } finally {
      libc.munmap(at, byteLength);
    }
  }

  /** Zeros where the system refuses to count them. */
  function faults(): Faults {
    libc.getrusage(constants.rusageWho, usage);
    return { minor: Number(usage[RU_MINFLT]), major: Number(usage[RU_MAJFLT]) };
  }

  /** `null` when the system refuses, or nothing is mapped there. */
  function residentAt(address: bigint, byteLength: number): number | null {
    const pages = new Uint8Array(Math.ceil(byteLength / pageBytes));
    if (libc.mincore(address, byteLength, pages) !== 0) return null;
    return countResident(pages) * pageBytes;
  }

  return {
    pageBytes,
    canPlace: true,
    canPopulate: constants.populate !== null,
    populateMayHang: false,
    addressOf,

    place(address, byteLength, fd, offset) {
      // MAP_NORESERVE: without it a private writable mapping counts against the overcommit limit, and a
      // model may be larger than the machine's memory.
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

    zapPageTables(address, byteLength) {
      return constants.zap !== null && libc.madvise(address, byteLength, constants.zap) === 0;
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

    residentBytes,
    residentBytesInBackground: async (file, offset, byteLength) =>
      residentBytes(file, offset, byteLength),

    async residentBytesAt(ranges) {
      let total = 0;
      for await (const { address, byteLength } of inSteps(ranges, STEP_BYTES)) {
        const resident = residentAt(address, byteLength);
        if (resident === null) return null;
        total += resident;
      }
      return total;
    },

    faultsOfNewMapping(fd, offset, byteLength) {
      const { populate } = constants;
      if (populate === null) return null;
      // Twice the addresses, so that the mapping can begin at a large page's boundary.
      const flags = MAP_PRIVATE | MAP_NORESERVE | MAP_ANONYMOUS;
      const room = libc.mmap(null, 2 * byteLength, PROT_NONE, flags, -1, 0);
      if (room === MAP_FAILED) return null;
      try {
        const unit = BigInt(byteLength);
        const at = ((room + unit - 1n) / unit) * unit;
        const fixed = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE;
        if (libc.mmap(at, byteLength, PROT_READ, fixed, fd, offset) === MAP_FAILED) return null;
        const hugePages = constants.advice["huge-pages"];
        if (hugePages !== undefined) libc.madvise(at, byteLength, hugePages);
        const before = faults();
        if (libc.madvise(at, byteLength, populate) !== 0) return null;
        const after = faults();
        // Filling empty page tables takes at least one fault: 0 means that faults are not counted.
        return after.minor + after.major - before.minor - before.major || null;
      } finally {
        libc.munmap(room, 2 * byteLength);
      }
    },

    exit(code) {
      bindExtra<(code: number) => void>("void _exit(int code)")(code);
    },

    faults,
  } satisfies Partial<Shim>;
}
