import { type Kernel32, MINUS_ONE } from "./kernel32.ts";

/** Bytes that one call locks, 1,024 pages: enough that the calls cost little. */
export const LOCKED_BYTES = 4 * 1024 ** 2;

/** For sixteen workers at once, which is the most that a sweep has. */
const RAISED_BYTES = 16 * LOCKED_BYTES;

const PROCESS = MINUS_ONE;

/**
 * The limits of the process's working set. `VirtualLock` locks at most the working set's minimum less a
 * small overhead (memoryapi.h). The default is about 200 KiB, so the minimum is raised while views are
 * open.
 */
export class WorkingSet {
  readonly #kernel32: Kernel32;
  #users = 0;
  #raised = false;

  constructor(kernel32: Kernel32) {
    this.#kernel32 = kernel32;
  }

  raise(): void {
    this.#users += 1;
    if (this.#users === 1) this.#raised = this.grow(RAISED_BYTES);
  }

  restore(): void {
    this.#users -= 1;
    if (this.#users === 0 && this.#raised) this.grow(-RAISED_BYTES);
  }

  /**
   * Changes the limits by a difference, since another thread may change them too. The maximum changes
   * with the minimum, which may not exceed it. Where Windows refuses, locking fails and the pages are
   * read instead.
   */
  grow(bytes: number): boolean {
    const least = new BigUint64Array(1);
    const most = new BigUint64Array(1);
    const flags = new Uint32Array(1);
    const { GetProcessWorkingSetSizeEx, SetProcessWorkingSetSizeEx } = this.#kernel32;
    if (GetProcessWorkingSetSizeEx(PROCESS, least, most, flags) === 0) return false;
    const [from, to] = [Number(least[0]) + bytes, Number(most[0]) + bytes];
    if (from <= 0) return false;
    return SetProcessWorkingSetSizeEx(PROCESS, from, to, flags[0] ?? 0) !== 0;
  }
}

/** `PSAPI_WORKING_SET_EX_INFORMATION` (psapi.h): an address, then its attributes. */
const PAGE_WORDS = 2;

/** Pages of one query, 8 MiB: a longer one holds the working set's lock too long (ESE `sysmem.cxx`). */
const QUERIED_PAGES = 2048;

/** `PSAPI_WORKING_SET_EX_BLOCK`: the page is in this process's working set. */
const VALID = 1n;

/**
 * Bits 22 and 23 of a page that is not valid say where it is: 1 for "in memory", such as on the standby
 * list. Not in psapi.h; Microsoft's ESE reads them (`sysmem.cxx`, `MEMORY_WORKING_SET_EX_BLOCK`). They
 * are 0 where the system does not say.
 */
const LOCATION_SHIFT = 22n;
const LOCATION_MASK = 3n;
const LOCATION_RESIDENT = 1n;

/** Counts the pages from `address` on that are certainly in memory. */
export function countResidentPages(
  { K32QueryWorkingSetEx }: Kernel32,
  address: bigint,
  pages: number,
  pageBytes: number,
): number {
  const queried = new BigUint64Array(PAGE_WORDS * Math.min(pages, QUERIED_PAGES));
  let resident = 0;
  for (let first = 0; first < pages; first += QUERIED_PAGES) {
    const count = Math.min(QUERIED_PAGES, pages - first);
    for (let page = 0; page < count; page++) {
      queried[PAGE_WORDS * page] = address + BigInt((first + page) * pageBytes);
    }
    if (K32QueryWorkingSetEx(PROCESS, queried, count * PAGE_WORDS * 8) === 0) return resident;
    for (let page = 0; page < count; page++) {
      const block = queried[PAGE_WORDS * page + 1] ?? 0n;
      const elsewhere = (block >> LOCATION_SHIFT) & LOCATION_MASK;
      if ((block & VALID) === VALID || elsewhere === LOCATION_RESIDENT) resident += 1;
    }
  }
  return resident;
}
