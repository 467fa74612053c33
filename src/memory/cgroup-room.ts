import { type LimitedCgroup, limitedCgroups, limitHits, readCgroup, usageOf } from "./cgroup.ts";

/** Limits may change, so the groups are read again after this time. */
const KNOWN_MS = 1000;

/** With this much unused for each reader the details need not be read: a batch is smaller. */
const PLENTY_BYTES = 128 * 1024 ** 2;

/** Bytes that each reader may have under way: the smallest batch, and the read-ahead of it. */
const IN_FLIGHT_BYTES = 4 * 1024 ** 2;

/**
 * The share of a group's room for file pages that stays free: enough that other programs of the group do
 * not reach the limit, and less than the 20 % that a sweep which passed a gate leaves free.
 */
const LEAST_FREE_SHARE = 0.1;
const MOST_FREE_SHARE = 0.15;

/** A group that stays above `memory.high` for so long cannot get below it: each batch waits up to two seconds there. */
const OVER_MS = 1000;

/** How much room the limits of this process's cgroups leave for what a sweep reads. */
export class CgroupRoom {
  readonly #root: string;
  readonly #now: () => number;
  #groups: readonly LimitedCgroup[] = [];
  #foundMs = Number.NEGATIVE_INFINITY;
  /** By the group's path: since when it has been above `memory.high` by more than is under way. */
  readonly #overSinceMs = new Map<string, number>();
  readonly #hitsAtStart: number;

  /** @param root of the file system, @param now a clock in milliseconds; tests give their own */
  constructor(root = "/", now = () => performance.now()) {
    this.#root = root;
    this.#now = now;
    this.#hitsAtStart = this.#hits();
  }

  /**
   * Computes how many bytes one reader may read before it asks again. Takes some microseconds where a group
   * has a limit, and much less where none has.
   *
   * A group that is full of other files' pages still has room, since those can be reclaimed. It has none
   * once the bytes that cannot be reclaimed and the bytes that the sweep has read reach the limit together:
   * to read more would evict what was read first, and above `memory.high` the kernel would slow the reader
   * down to a standstill. A group that stays above `memory.high` has none either: what counts as reclaimable
   * there is used again as soon as it was reclaimed, such as the program's own code.
   *
   * @param sweptBytes bytes that the sweep has read so far
   * @param readers how many read at the same time
   * @returns bytes, `Infinity` without a limit; or the reason why there is no room
   */
  look(sweptBytes: number, readers: number): { bytes: number } | { full: string } {
    let bytes = Number.POSITIVE_INFINITY;
    for (const group of this.#limited()) {
      const { limitBytes, limitedBy } = group;
      const atLeast = limitBytes - usageOf(group);
      const staysOver = this.#staysOver(group, atLeast, readers);
      if (atLeast > PLENTY_BYTES * readers) continue;
      const { usageBytes, reclaimableBytes } = readCgroup(group);
      const unused = limitBytes - usageBytes;
      const forFiles = Math.max(0, unused + reclaimableBytes);
      const least = Math.max(IN_FLIGHT_BYTES * readers, LEAST_FREE_SHARE * forFiles);
      const kept = Math.min(least, MOST_FREE_SHARE * forFiles);
      const room = forFiles - sweptBytes;
      // Pages that were resident before may be charged to another group, so a group counts as full only
      // when little of it is unused.
      if ((room <= kept && unused <= kept) || staysOver) {
        const used = `${mib(usageBytes)} of ${limitedBy} ${mib(limitBytes)}`;
        return { full: `the cgroup uses ${used}` };
      }
      // Above `memory.high` the kernel slows a thread down in the middle of a batch, so only unused room
      // counts there. Half of a reader's share, since the batches of the others do not show in the usage yet.
      const left = (limitedBy === "memory.high" ? unused : Math.max(room, unused)) - kept;
      bytes = Math.min(bytes, Math.max(0, left) / (2 * readers));
    }
    return { bytes };
  }

  #staysOver({ path, limitedBy }: LimitedCgroup, unused: number, readers: number): boolean {
    if (limitedBy !== "memory.high" || unused >= -IN_FLIGHT_BYTES * readers) {
      this.#overSinceMs.delete(path);
      return false;
    }
    const now = this.#now();
    const since = this.#overSinceMs.get(path) ?? now;
    this.#overSinceMs.set(path, since);
    return now - since >= OVER_MS;
  }

  /** Whether a group has reached its limit since this object was made. */
  get wasHit(): boolean {
    return this.#hits() > this.#hitsAtStart;
  }

  #hits(): number {
    return this.#limited().reduce((sum, group) => sum + limitHits(group), 0);
  }

  #limited(): readonly LimitedCgroup[] {
    const now = this.#now();
    if (now - this.#foundMs < KNOWN_MS) return this.#groups;
    this.#foundMs = now;
    this.#groups = limitedCgroups(this.#root);
    return this.#groups;
  }
}

function mib(bytes: number): string {
  return `${Math.round(bytes / 1024 ** 2)} MiB`;
}
