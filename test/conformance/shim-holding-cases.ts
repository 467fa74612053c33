import assert from "node:assert/strict";
import { readFileSync, rmSync, truncateSync } from "node:fs";
import { type MemoryLock, type Shim, SystemError } from "../../shims/index.ts";
import type { Case } from "./case.ts";
import {
  CONTENT,
  FILE_BYTES,
  fails,
  refuses,
  type Subject,
  undescribed,
  wholePages,
  withFile,
  withMapped,
} from "./subject.ts";

/** More than any system gives to a process. */
const NO_PROCESS = 2 ** 30;

/** Open in no process. */
const NO_DESCRIPTOR = 4321;

/** Keeping pages in memory, and taking them out of it. */
export const holdingCases: readonly Case<Subject>[] = [
  {
    name: "says how much may be locked, the same each time",
    run({ shim }) {
      const bytes = shim.lockableBytes();
      assert.ok(bytes >= 0);
      assert.equal(shim.lockableBytes(), bytes);
    },
  },
  {
    name: "locks parts of a file and its end, or says that it cannot",
    run: (subject) =>
      withLock(subject, "lock", async (lock, fd, path) => {
        const { shim } = subject;
        if (!(await isLocked(lock, 0, 2 * shim.pageBytes))) return;
        assert.ok(await isLocked(lock, 65_536, FILE_BYTES - 65_536));
        const file = undescribed(fd, path);
        const counted = shim.residentBytes(file, 0, wholePages(shim));
        assert.ok(counted === null || counted >= wholePages(shim) - 65_536);
        assert.ok(readFileSync(path).equals(CONTENT));
      }),
  },
  {
    name: "locks a range twice, and nothing for an empty one",
    run: (subject) =>
      withLock(subject, "twice", async (lock) => {
        await lock.lock(0, 0);
        for (const _ of [1, 2]) {
          if (!(await isLocked(lock, 0, subject.shim.pageBytes))) return;
        }
      }),
  },
  {
    name: "lets a file go when its lock is closed",
    run: async (subject) => {
      const path = await withFile(subject, "unlock", async (fd, opened) => {
        const lock = openLock(subject.shim, fd);
        if (lock !== null) await isLocked(lock, 0, FILE_BYTES);
        lock?.close();
        return opened;
      });
      // Windows refuses both while a view is open or a handle is left.
      truncateSync(path, 1);
      rmSync(path);
    },
  },
  {
    name: "may be closed while it locks",
    run: (subject) =>
      withFile(subject, "closed", async (fd) => {
        const lock = openLock(subject.shim, fd);
        if (lock === null) return;
        const locking = isLocked(lock, 0, FILE_BYTES);
        lock.close();
        await locking;
      }),
  },
  {
    name: "does not lock a file that is not open",
    run({ shim }) {
      if (canLock(shim)) fails(() => shim.openLock(NO_DESCRIPTOR, 65_536), /^EBADF$/);
    },
  },
  {
    name: "pages out what this process has mapped, or refuses",
    run: (subject) =>
      withFile(subject, "page-out", async (fd, path) => {
        const { shim } = subject;
        if (!shim.canPopulate) {
          const range = { address: 65_536n, byteLength: 65_536 };
          // Linux 5.10 to 5.13 page out and cannot populate; nothing is mapped there.
          return assert.rejects(shim.pageOut(process.pid, [range]), ({ errno }: SystemError) =>
            /^(ENOTSUP|ENOMEM)$/.test(errno),
          );
        }
        await withMapped(shim, fd, async (address) => {
          shim.populate(address, wholePages(shim));
          const ranges = [{ address, byteLength: wholePages(shim) }];
          const refusal = await shim.pageOut(process.pid, ranges).catch((error) => error);
          if (refusal !== undefined) assert.match(refusal.errno, /^(ENOTSUP|EPERM|ENOSYS)$/);
        });
        assert.ok(readFileSync(path).equals(CONTENT));
      }),
  },
  {
    name: "pages nothing out of a process that is not there",
    run: ({ shim }) =>
      assert.rejects(shim.pageOut(NO_PROCESS, []), (error) => {
        assert.ok(error instanceof SystemError);
        return /^(ESRCH|EINVAL|ENOTSUP|ENOSYS)$/.test(error.errno);
      }),
  },
  {
    name: "finds no mapping in a process that is not there, or says that it cannot",
    run: (subject) =>
      withFile(subject, "nobody", async (_fd, path) => {
        const own = await subject.shim.findMappings(path);
        const found = await subject.shim.findMappings(path, NO_PROCESS);
        assert.deepEqual(found, own === null ? null : []);
      }),
  },
  {
    name: "finds the mappings of a process by its number, its own included",
    run: (subject) =>
      withFile(subject, "by-number", async (fd, path) => {
        const { shim } = subject;
        if ((await shim.findMappings(path)) === null) return;
        await withMapped(shim, fd, async () => {
          const found = await shim.findMappings(path, process.pid);
          assert.equal(found?.length, 1);
          assert.deepEqual(found, await shim.findMappings(path));
        });
      }),
  },
];

/** Of the shims, only the one without native code cannot lock. */
function canLock({ name }: Shim): boolean {
  return name !== "portable";
}

function openLock(shim: Shim, fd: number): MemoryLock | null {
  if (canLock(shim)) return shim.openLock(fd, FILE_BYTES);
  refuses(() => shim.openLock(fd, FILE_BYTES));
  return null;
}

async function withLock(
  subject: Subject,
  name: string,
  use: (lock: MemoryLock, fd: number, path: string) => Promise<void>,
): Promise<void> {
  await withFile(subject, name, async (fd, path) => {
    const lock = openLock(subject.shim, fd);
    if (lock === null) return;
    try {
      await use(lock, fd, path);
    } finally {
      lock.close();
    }
  });
}

/** Locks; where a limit forbids it, the refusal names the call and the system's reason. */
async function isLocked(lock: MemoryLock, offset: number, byteLength: number): Promise<boolean> {
  const refusal = await lock.lock(offset, byteLength).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (refusal !== undefined) fails(() => throwIt(refusal), /./);
  return refusal === undefined;
}

function throwIt(error: unknown): never {
  throw error;
}
