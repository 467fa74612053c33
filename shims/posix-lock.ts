import {
  bindExtra,
  bindInBackground,
  expectMapping,
  expectZero,
  type Libc,
  lastErrno,
} from "./libc.ts";
import type { MemoryLock } from "./shim.ts";
import { SystemError } from "./system-error.ts";

// The same on every POSIX system Node runs on (sys/mman.h).
const PROT_READ = 0x1;
const MAP_SHARED = 0x01;

/** One call locks so much: an abort waits for one call, and each has a thread of libuv's to itself. */
const STEP_BYTES = 64 * 1024 ** 2;

/** `struct rlimit` (sys/resource.h): the soft limit, then the hard one, in 64-bit words. */
const SOFT = 0;
const HARD = 1;

export interface LockConstants {
  /** `RLIMIT_MEMLOCK` (sys/resource.h). */
  readonly limit: number;
  /** Whether this process may lock more than its limit. */
  isPrivileged(): boolean;
}

/** Locking, the part that Linux and macOS share. */
export function posixLock(libc: Libc, { limit, isPrivileged }: LockConstants) {
  const signature = "int mlock(void *at, size_t bytes)";
  const mlock = bindExtra<(at: bigint, bytes: number) => number>(signature);
  const mlockInBackground = bindInBackground<[at: bigint, bytes: number], number>(signature);
  type Limits = (which: number, limits: BigUint64Array) => number;
  const getrlimit = bindExtra<Limits>("int getrlimit(int which, void *limits)");
  const setrlimit = bindExtra<Limits>("int setrlimit(int which, const void *limits)");

  return {
    /** Raises the soft limit to the hard one, which every process may do. */
    lockableBytes(): number {
      if (isPrivileged()) return Number.POSITIVE_INFINITY;
      const limits = new BigUint64Array(2);
      if (getrlimit(limit, limits) !== 0) return 0;
      limits[SOFT] = limits[HARD] ?? 0n;
      const raised = setrlimit(limit, limits) === 0 || getrlimit(limit, limits) === 0;
      const bytes = raised ? Number(limits[SOFT]) : 0;
      // RLIM_INFINITY is all ones on Linux, and all ones but the sign on macOS.
      return bytes >= 2 ** 62 ? Number.POSITIVE_INFINITY : bytes;
    },

    openLock(fd: number, byteLength: number): MemoryLock {
      // Shared and read-only: a private writable mapping would be copied page by page when it is locked.
      const at = libc.mmap(null, byteLength, PROT_READ, MAP_SHARED, fd, 0);
      expectMapping(at, `mmap of ${byteLength} bytes`);
      let underWay = 0;
      let isClosed = false;
      // Unmapping unlocks. Never while a call is under way: it would lock whatever is mapped there next.
      const unmap = () => {
        if (libc.munmap(at, byteLength) !== 0) throw new SystemError("munmap", lastErrno());
      };
      return {
        async lock(offset, lockedBytes) {
          underWay += 1;
          try {
            for (let done = 0; done < lockedBytes && !isClosed; done += STEP_BYTES) {
              const step = Math.min(STEP_BYTES, lockedBytes - done);
              const address = at + BigInt(offset + done);
              if ((await mlockInBackground(address, step)) === 0 || isClosed) continue;
              // The number of an error is lost on the other thread; what was refused is refused again.
              expectZero(mlock(address, step), `mlock of ${step} bytes`);
            }
          } finally {
            underWay -= 1;
            if (isClosed && underWay === 0) unmap();
          }
        },
        close() {
          isClosed = true;
          if (underWay === 0) unmap();
        },
      };
    },
  };
}
