import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cgroupFolders } from "./cgroup.ts";

/**
 * The share of the time in which every program that had something to do waited for memory. Going on
 * would slow down all of them; the sweep is an optimisation.
 */
const STALLED_SHARE = 0.25;

/** Time between two looks. Shorter, and a single reclaim would count. */
const LOOK_MS = 1000;

interface Source {
  /** `memory.pressure` of a group, or of the whole system (kernel Documentation/accounting/psi.rst). */
  readonly stalls: string;
  /** Counts the pages that reclaim has looked at, under {@link Source.keys}. */
  readonly scans: string;
  readonly keys: RegExp;
}

/**
 * Of the system, only what the system as a whole was short of: under its other keys it also counts
 * what a group that is at its own limit does to itself (mm/vmscan.c, `shrink_inactive_list`).
 */
const SYSTEM_SCANS = /^pgscan_(?:kswapd|direct) (\d+)$/gm;
const GROUP_SCANS = /^pgscan (\d+)$/gm;

interface Counts {
  readonly stalledMs: number;
  readonly scanned: number;
}

/**
 * Memory pressure as the kernel measures it (PSI), of this process's cgroup and of the system.
 *
 * Reading back what was evicted earlier counts as a stall as well, however much memory is free by
 * now: a stall is believed only while pages are being reclaimed.
 */
export class Pressure {
  readonly #sources: readonly Source[];
  readonly #now: () => number;
  #looked: { readonly atMs: number; readonly counts: readonly Counts[] } | undefined;

  /**
   * @param root where the file system is mounted, @param now milliseconds; tests make up both
   */
  constructor(root = "/", now = () => performance.now()) {
    this.#now = now;
    this.#sources = pressureSources(root);
  }

  /** Why it is better to stop; `null` when it is not, or the kernel does not measure it. */
  look(): string | null {
    const atMs = this.#now();
    const passedMs = atMs - (this.#looked?.atMs ?? Number.NEGATIVE_INFINITY);
    if (this.#sources.length === 0 || passedMs < LOOK_MS) return null;
    const counts = this.#sources.map(readCounts);
    const before = this.#looked?.counts;
    this.#looked = { atMs, counts };
    const shares = counts.map(({ stalledMs, scanned }, index) => {
      const last = before?.[index];
      if (last === undefined || scanned <= last.scanned) return 0;
      return (stalledMs - last.stalledMs) / passedMs;
    });
    const share = Math.max(...shares);
    if (!(share > STALLED_SHARE)) return null;
    return `programs stood still ${Math.round(share * 100)} % of the time, waiting for memory`;
  }
}

function pressureSources(root: string): Source[] {
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
  // Of the groups the innermost: what others in a group above it wait for may be their own doing.
  const own = groups.find(({ stalls }) => read(stalls) !== "");
  return [...(own === undefined ? [] : [own]), ...(read(system.stalls) === "" ? [] : [system])];
}

/** `full avg10=0.00 avg60=0.00 avg300=0.00 total=12345`, the total in microseconds. */
function readCounts({ stalls, scans, keys }: Source): Counts {
  const total = /^full .*total=(\d+)$/m.exec(read(stalls))?.[1];
  const scanned = [...read(scans).matchAll(keys)];
  return {
    stalledMs: Number(total ?? 0) / 1000,
    scanned: scanned.reduce((sum, [, count]) => sum + Number(count), 0),
  };
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
