import { closeSync } from "node:fs";
import { bindExtra, lastErrno } from "./libc.ts";
import type { AddressRange } from "./shim.ts";
import { inSteps } from "./steps.ts";
import { SystemError } from "./system-error.ts";

// The numbers are the same on every architecture (asm-generic/unistd.h).
const SYS_PIDFD_OPEN = 434;
const SYS_PROCESS_MADVISE = 440; // since 5.10
const MADV_PAGEOUT = 21; // asm-generic/mman-common.h

/** Most ranges of one call (`UIO_MAXIOV`, linux/uio.h). */
const MOST_RANGES = 1024;

/** The kernel pages out about 25 GiB a second, so that one call takes a few milliseconds. */
const STEP_BYTES = 64 * 1024 ** 2;

type Call = (
  call: number,
  target: number,
  ranges: BigUint64Array | null,
  count: number,
  advice: number,
  flags: number,
) => number;

/** Pages out parts of a process's memory (process_madvise(2)). */
export function bindPageOut(): (pid: number, ranges: readonly AddressRange[]) => Promise<void> {
  const syscall = bindExtra<Call>(
    "long syscall(long call, int64_t target, void *ranges, int64_t count, int64_t advice, int64_t flags)",
  );

  function advise(pidfd: number, batch: readonly AddressRange[]): void {
    const words = batch.flatMap(({ address, byteLength }) => [address, BigInt(byteLength)]);
    const vectors = BigUint64Array.from(words);
    if (syscall(SYS_PROCESS_MADVISE, pidfd, vectors, batch.length, MADV_PAGEOUT, 0) < 0) {
      throw new SystemError("process_madvise(MADV_PAGEOUT)", lastErrno());
    }
  }

  return async (pid, ranges) => {
    const pidfd = syscall(SYS_PIDFD_OPEN, pid, null, 0, 0, 0);
    if (pidfd < 0) throw new SystemError(`pidfd_open of process ${pid}`, lastErrno());
    try {
      let batch: AddressRange[] = [];
      let bytes = 0;
      for await (const range of inSteps(ranges, STEP_BYTES)) {
        if (batch.length === MOST_RANGES || bytes + range.byteLength > STEP_BYTES) {
          advise(pidfd, batch);
          batch = [];
          bytes = 0;
        }
        batch.push(range);
        bytes += range.byteLength;
      }
      if (batch.length > 0) advise(pidfd, batch);
    } finally {
      closeSync(pidfd);
    }
  };
}
