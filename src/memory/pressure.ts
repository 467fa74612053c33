import { join } from "node:path";
import { cgroupFolders } from "./cgroup.ts";
import { readText } from "./read-text.ts";

/**
 * The share of time at which a sweep stops: in that time all programs that had work waited for memory.
 * A sweep is an optimisation, and must not slow other programs down.
 */
const STALLED_SHARE = 0.25;

/** Time between two looks: long enough that a single reclaim is not 25 % of it. */
const LOOK_MS = 1000;

/** Where the kernel says how long programs waited for memory. */
export interface Source {
  /** `memory.pressure` of a group, or of the whole system (kernel Documentation/accounting/psi.rst). */
  readonly stalls: string;
  /** The file with counts of pages that reclaim has scanned, under {@link Source.keys}. */
  readonly scans: string;
  readonly keys: RegExp;
}

/**
 * Only scans that the system as a whole made: other keys also count the scans of a group that is at its
 * own limit (mm/vmscan.c, `shrink_inactive_list`).
 */
const SYSTEM_SCANS = /^pgscan_(?:kswapd|direct) (\d+)$/gm;
const GROUP_SCANS = /^pgscan (\d+)$/gm;

/** What has been counted so far. */
export interface Counts {
  readonly stalledMs: number;
  readonly scanned: number;
}

/**
 * Memory pressure as the kernel measures it (PSI), of this process's cgroup and of the system.
 *
 * PSI also counts as a stall the time to read evicted pages back, even with plenty of free memory. So a
 * stall counts only if pages were scanned for reclaim in the same second.
 */
export class Pressure {
  readonly #sources: readonly Source[];
  readonly #now: () => number;
  #looked: { readonly atMs: number; readonly counts: readonly Counts[] } | undefined;

  /**
   * @param root of the file system, @param now a clock in milliseconds; tests give their own
   */
  constructor(root = "/", now = () => performance.now()) {
    this.#now = now;
    this.#sources = pressureSources(root);
  }

  /** @returns the reason to stop the sweep; `null` without pressure, or where it is not measured */
  look(): string | null {
    const atMs = this.#now();
    const passedMs = atMs - (this.#looked?.atMs ?? Number.NEGATIVE_INFINITY);
    if (this.#sources.length === 0 || passedMs < LOOK_MS) return null;
    const counts = this.#sources.map((source) => readCounts(source, "full"));
    const before = this.#looked?.counts;
    this.#looked = { atMs, counts };
    const shares = counts.map(({ stalledMs, scanned }, index) => {
      const last = before?.[index];
      if (last === undefined || scanned <= last.scanned) return 0;
      return (stalledMs - last.stalledMs) / passedMs;
    });
    const share = Math.max(...shares);
    if (!(share > STALLED_SHARE)) return null;
    return `all programs waited for memory ${Math.round(share * 100)} % of the last second`;
  }
}

/** The innermost cgroup of this process that has its own figures, and the system. */
export function pressureSources(root: string): Source[] {
  const groups = cgroupFolders(root)
    .filter(({ version }) => version === 2)
    .map(({ path }) => ({
      stalls: join(path, "memory.pressure"),
      scans: join(path, "memory.stat"),
      keys: GROUP_SCANS,
    }));
  const system = {
    stalls: join(root, "proc/pressure/memory"),
    scans: join(root, "proc/vmstat"),
    keys: SYSTEM_SCANS,
  };
  // Of the groups only the innermost: a group above may have other programs that cause its stalls.
  const own = groups.find(({ stalls }) => readText(stalls) !== "");
  return [...(own === undefined ? [] : [own]), ...(readText(system.stalls) === "" ? [] : [system])];
}

/**
 * `full avg10=0.00 avg60=0.00 avg300=0.00 total=12345`, the total in microseconds.
 *
 * @param waiting whether `some` program waited, or all that had work
 */
export function readCounts({ stalls, scans, keys }: Source, waiting: "some" | "full"): Counts {
  const total = new RegExp(`^${waiting} .*total=(\\d+)$`, "m").exec(readText(stalls))?.[1];
  const scanned = [...readText(scans).matchAll(keys)];
  return {
    stalledMs: Number(total ?? 0) / 1000,
    scanned: scanned.reduce((sum, [, count]) => sum + Number(count), 0),
  };
}
