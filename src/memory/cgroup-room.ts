import { type LimitedCgroup, limitedCgroups, limitHits, readCgroup, usageOf } from "./cgroup.ts";

/** Limits are set anew now and then; the groups are looked for again after this long. */
const KNOWN_MS = 1000;

/** With so much unused for each reader, no look at the details is needed: more than a batch is. */
const PLENTY_BYTES = 128 * 1024 ** 2;

/** What each reader may be in the middle of: the smallest batch, and what is read ahead of it. */
const IN_FLIGHT_BYTES = 4 * 1024 ** 2;

/**
 * Of what a group could hold of files, so much stays free: enough that its other programs do not come
 * up against the limit, and less than a sweep that passed a gate (80 %) leaves free.
 */
const LEAST_FREE_SHARE = 0.1;
const MOST_FREE_SHARE = 0.15;

/** How much room the limits of this process's cgroups leave for what a sweep reads. */
export class CgroupRoom {
  readonly #root: string;
  readonly #now: () => number;
  #groups: readonly LimitedCgroup[] = [];
  #foundMs = Number.NEGATIVE_INFINITY;
  readonly #hitsAtStart: number;

  /** @param root where the file system is mounted, @param now milliseconds; tests make up both */
  constructor(root = "/", now = () => performance.now()) {
    this.#root = root;
    this.#now = now;
    this.#hitsAtStart = this.#hits();
  }

  /**
   * Looks how much one reader may read before the next look. Takes some microseconds where a group has
   * a limit, and next to nothing where none has.
   *
   * A group that is full of other files' pages makes room for new ones. It is full for good once what
   * cannot be reclaimed and what the sweep has read reach the limit together: more would evict what was
   * read first and, above `memory.high`, be slowed down to a standstill.
   *
   * @param sweptBytes what the sweep has read so far
   * @param readers how many read at the same time
   * @returns bytes, `Infinity` where nothing limits them; or why there is no room
   */
  look(sweptBytes: number, readers: number): { bytes: number } | { full: string } {
    let bytes = Number.POSITIVE_INFINITY;
    for (const group of this.#limited()) {
      const { limitBytes, limitedBy } = group;
      if (limitBytes - usageOf(group) > PLENTY_BYTES * readers) continue;
      const { usageBytes, reclaimableBytes } = readCgroup(group);
      const unused = limitBytes - usageBytes;
      const forFiles = Math.max(0, unused + reclaimableBytes);
      const least = Math.max(IN_FLIGHT_BYTES * readers, LEAST_FREE_SHARE * forFiles);
      const kept = Math.min(least, MOST_FREE_SHARE * forFiles);
      const room = forFiles - sweptBytes;
      // Pages that were resident before may be charged to another group: only a group that has next to
      // nothing unused is full.
      if (room <= kept && unused <= kept) {
        const used = `${mib(usageBytes)} of ${limitedBy} ${mib(limitBytes)}`;
        return { full: `the cgroup uses ${used}` };
      }
      // While the kernel slows a thread down, the thread cannot look: it reads little at a time. Half
      // of its share, since what the others are in the middle of does not show yet.
      const left = (limitedBy === "memory.high" ? unused : Math.max(room, unused)) - kept;
      bytes = Math.min(bytes, Math.max(0, left) / (2 * readers));
    }
    return { bytes };
  }

  /** Whether a group has come up against its limit since this was made. */
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
