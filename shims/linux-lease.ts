import { closeSync, constants as fs, fstatSync, openSync } from "node:fs";
import type { DescribedFile } from "./file-facts.ts";
import { bindExtra } from "./libc.ts";
import type { FileLease } from "./shim.ts";

const F_SETSIG = 10; // fcntl.h
const F_SETLEASE = 1024;
const F_RDLCK = 0;
const F_UNLCK = 2;
const SIGURG = 23; // its default action is to be ignored

type Fcntl = (fd: number, command: number, argument: number) => number;

export function bindFcntl(): Fcntl {
  return bindExtra<Fcntl>("int fcntl(int fd, int command, int argument)");
}

/**
 * A read lease (fcntl(2), "Leases"): a program that opens the file for writing or truncates it waits
 * until the lease is released, so the size that was checked under the lease stays true. It is granted
 * to the file's owner, while no program has the file open for writing.
 *
 * The lease belongs to an open file description, so each lease opens the file once more. The kernel
 * reports a waiting writer to the holder by a signal. The default, SIGIO, would end the process, so
 * SIGURG is chosen, which is ignored. A writer waits shortly: a lease is held for one batch only.
 *
 * @returns `null` where no lease can be had
 */
export function openLease(file: DescribedFile, fcntl: Fcntl): FileLease | null {
  // A lease of this kernel does not stop a writer on another machine.
  const own = file.facts.isLocal ? openAgain(file) : null;
  if (own === null) return null;
  return {
    // The signal each time: releasing a lease sets it back to SIGIO (fs/locks.c, `lease_modify`).
    hold: () => fcntl(own, F_SETSIG, SIGURG) === 0 && fcntl(own, F_SETLEASE, F_RDLCK) === 0,
    release: () => void fcntl(own, F_SETLEASE, F_UNLCK),
    close: () => closeSync(own),
  };
}

/** The same file under a descriptor of its own; without `/proc` by its path, if that is still the file. */
function openAgain({ fd, path }: DescribedFile): number | null {
  const wanted = fstatSync(fd, { bigint: true });
  for (const name of [`/proc/self/fd/${fd}`, path]) {
    try {
      const own = openSync(name, fs.O_RDONLY | fs.O_NONBLOCK);
      const { dev, ino } = fstatSync(own, { bigint: true });
      if (dev === wanted.dev && ino === wanted.ino) return own;
      closeSync(own);
    } catch {
      // The next name is tried.
    }
  }
  return null;
}
