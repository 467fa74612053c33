import { closeSync, readFileSync, realpathSync } from "node:fs";
import { bindExtra, lastErrno } from "../../shims/libc.ts";
import { parseMappings } from "../../shims/linux-maps.ts";
import type { Range } from "../../src/plan/range.ts";

const SYS_PIDFD_OPEN = 434; // asm-generic/unistd.h
const SYS_PROCESS_MADVISE = 440;
const MADV_PAGEOUT = 21; // asm-generic/mman-common.h

/** Most ranges of one call (`UIO_MAXIOV`, linux/uio.h). */
const MOST_RANGES = 1024;

const PAGE_BYTES = 4096;

const syscall = bindExtra<
  (
    call: number,
    target: number,
    ranges: BigUint64Array | null,
    count: number,
    advice: number,
    flags: number,
  ) => number
>(
  "long syscall(long call, int64_t target, void *ranges, int64_t count, int64_t advice, int64_t flags)",
);

/**
 * Pages out a process's mapping of a file, except for the ranges to keep. Another user's process needs
 * CAP_SYS_NICE.
 *
 * Pages that are not in the process's page table stay, and so do pages that another process maps too.
 *
 * @returns bytes that the kernel looked at
 */
export function pageOutAllBut(pid: number, path: string, kept: readonly Range[]): number {
  const real = realpathSync(path);
  const mappings = parseMappings(readFileSync(`/proc/${pid}/maps`, "utf8")).filter(
    (each) => each.path === real,
  );
  if (mappings.length === 0) throw new Error(`process ${pid} has not mapped ${path}`);
  const ranges = mappings.flatMap(({ address, byteLength, offset }) =>
    between(kept, offset, offset + byteLength).map(([start, end]) => ({
      address: address + BigInt(start - offset),
      byteLength: BigInt(end - start),
    })),
  );
  const pidfd = syscall(SYS_PIDFD_OPEN, pid, null, 0, 0, 0);
  if (pidfd < 0) throw new Error(`pidfd_open: ${lastErrno()}`);
  try {
    let done = 0;
    for (let at = 0; at < ranges.length; at += MOST_RANGES) {
      const part = ranges.slice(at, at + MOST_RANGES);
      const vectors = new BigUint64Array(part.flatMap((each) => [each.address, each.byteLength]));
      const advised = syscall(SYS_PROCESS_MADVISE, pidfd, vectors, part.length, MADV_PAGEOUT, 0);
      if (advised < 0) throw new Error(`process_madvise: ${lastErrno()}`);
      done += advised;
    }
    return done;
  } finally {
    closeSync(pidfd);
  }
}

/** The whole pages from `start` to `end` that hold nothing of the kept ranges. */
export function between(kept: readonly Range[], start: number, end: number): [number, number][] {
  const gaps: [number, number][] = [];
  let at = start;
  for (const { offset, byteLength } of [...kept].sort((a, b) => a.offset - b.offset)) {
    const first = Math.floor(offset / PAGE_BYTES) * PAGE_BYTES;
    if (first >= end) break;
    if (first > at) gaps.push([at, first]);
    at = Math.max(at, Math.ceil((offset + byteLength) / PAGE_BYTES) * PAGE_BYTES);
  }
  if (at < end) gaps.push([at, end]);
  return gaps;
}
