import { join } from "node:path";
import { cgroupFolders, limitedCgroups, limitHits } from "./cgroup.ts";
import { type Counts, pressureSources, readCounts, type Source } from "./pressure.ts";
import { readText } from "./read-text.ts";

/**
 * The share of time in which some program waited for memory, above which nothing is read again: what would
 * be read would push out what somebody else has just read.
 */
const CALM_SHARE = 0.01;

/**
 * Whether anybody waits for memory, from when it is made to when it is asked: in this process's cgroup, or on
 * the machine.
 *
 * As for a sweep, a wait counts only if pages were scanned for reclaim meanwhile: a group at its own limit
 * elsewhere on the machine would otherwise count for ever. Where the kernel does not measure waits in a group
 * (cgroup v1), that a limit was reached counts.
 */
export class Calm {
  readonly #root: string;
  readonly #now: () => number;
  readonly #sources: readonly Source[];
  readonly #sinceMs: number;
  readonly #before: readonly Counts[];
  readonly #hitsBefore: number;

  /** @param root of the file system, @param now a clock in milliseconds; tests give their own */
  constructor(root = "/", now = () => performance.now()) {
    this.#root = root;
    this.#now = now;
    this.#sources = pressureSources(root);
    this.#sinceMs = now();
    this.#before = this.#read();
    this.#hitsBefore = hits(root);
  }

  isCalm(): boolean {
    if (hits(this.#root) > this.#hitsBefore) return false;
    const passedMs = Math.max(1, this.#now() - this.#sinceMs);
    return this.#read().every(({ stalledMs, scanned }, index) => {
      const before = this.#before[index];
      if (before === undefined || scanned <= before.scanned) return true;
      return (stalledMs - before.stalledMs) / passedMs < CALM_SHARE;
    });
  }

  #read(): Counts[] {
    return this.#sources.map((source) => readCounts(source, "some"));
  }
}

function hits(root: string): number {
  return limitedCgroups(root).reduce((sum, group) => sum + limitHits(group), 0);
}

/**
 * The share of the last ten seconds in which some program waited for memory: on the machine, or in a cgroup of
 * this process, whichever is more.
 *
 * @param root of the file system; tests give a folder
 * @returns percent; 0 where the kernel does not measure it
 */
export function memoryPressure(root = "/"): number {
  const groups = cgroupFolders(root).filter(({ version }) => version === 2);
  const files = [
    join(root, "proc/pressure/memory"),
    ...groups.map(({ path }) => join(path, "memory.pressure")),
  ];
  return Math.max(0, ...files.map(someOf));
}

/** `some avg10=0.00 avg60=0.00 avg300=0.00 total=0` (kernel Documentation/accounting/psi.rst). */
function someOf(file: string): number {
  return Number(/^some avg10=(\d+(?:\.\d+)?)/m.exec(readText(file))?.[1] ?? 0);
}
