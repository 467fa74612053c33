/**
 * Fills the page cache with ranges of a file by exact reads, and locks them when asked to: a prototype
 * to compare the package with. Run it as `node build/bench/engine/fill-by-hand.mjs TASKFILE`; it prints
 * a {@link FillOutcome} as JSON. Locked pages stay locked until its stdin ends.
 */
import { readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { bindExtra, bindLibc, lastErrno } from "../../shims/libc.ts";
import type { Range } from "../../src/plan/range.ts";
import { readExactly } from "./exact-read.ts";

export interface FillTask {
  readonly path: string;
  readonly ranges: readonly Range[];
  /** Also locks them, after they were filled, through a shared read-only mapping. */
  readonly lock: boolean;
}

/** Seconds, and how many bytes are locked. */
export interface FillOutcome {
  readonly fill: number;
  readonly lock: number;
  readonly lockedBytes: number;
  /** Why the lock ended before everything was locked. */
  readonly error?: string;
}

const PROT_READ = 1; // linux: bits/mman-linux.h
const MAP_SHARED = 1;
const PAGE_BYTES = 4096;

const { path, ranges, lock } = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as FillTask;
const started = performance.now();
await readExactly(path, ranges);
const filled = performance.now();
const locked = lock ? await lockRanges() : { lockedBytes: 0 };
const outcome: FillOutcome = {
  fill: (filled - started) / 1000,
  lock: (performance.now() - filled) / 1000,
  ...locked,
};
process.stdout.write(`${JSON.stringify(outcome)}\n`);
// Held until whoever started this process closes its stdin, or dies.
if (lock) process.stdin.resume();

async function lockRanges(): Promise<{ lockedBytes: number; error?: string }> {
  const mlock = bindExtra<(at: bigint, bytes: number) => number>(
    "int mlock(void *at, size_t bytes)",
  );
  const handle = await open(path);
  const { size } = await handle.stat();
  const base = bindLibc().mmap(null, size, PROT_READ, MAP_SHARED, handle.fd, 0);
  await handle.close();
  let lockedBytes = 0;
  for (const { offset, byteLength } of ranges) {
    const first = Math.floor(offset / PAGE_BYTES) * PAGE_BYTES;
    if (mlock(base + BigInt(first), offset + byteLength - first) !== 0) {
      return { lockedBytes, error: `mlock: ${lastErrno()}` };
    }
    lockedBytes += byteLength;
  }
  return { lockedBytes };
}
