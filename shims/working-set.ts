import { type Kernel32, MINUS_ONE } from "./kernel32.ts";

/** What one call locks. Each call has its cost; this is 1,024 pages. */
export const LOCKED_BYTES = 4 * 1024 ** 2;

/** Sixteen workers at once, which is as many as a sweep has. */
const RAISED_BYTES = 16 * LOCKED_BYTES;

const PROCESS = MINUS_ONE;

/**
 * The process's working set. `VirtualLock` locks no more than the working set's minimum less a small
 * overhead (memoryapi.h), which is about 200 KiB by default: it is raised while views are open.
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
    if (this.#users === 1) this.#raised = this.#grow(RAISED_BYTES);
  }

  restore(): void {
    this.#users -= 1;
    if (this.#users === 0 && this.#raised) this.#grow(-RAISED_BYTES);
  }

  /**
   * By a difference and not to a remembered value: another thread may raise it too meanwhile. The
   * maximum moves along, since the minimum may not pass it. Where it is refused, locking fails and
   * the pages are read instead.
   */
  #grow(bytes: number): boolean {
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

/** Pages asked about in one call, 8 MiB of them: more held the process's lock (ESE `sysmem.cxx`). */
const QUERIED_PAGES = 2048;

/** `PSAPI_WORKING_SET_EX_BLOCK`: the page is in this process's working set. */
const VALID = 1n;

/**
 * The block of a page that is not valid, bits 22 and 23: where it is instead, 1 for "in memory",
 * such as on the standby list. Not in psapi.h; read by Microsoft's own ESE (`sysmem.cxx`,
 * `MEMORY_WORKING_SET_EX_BLOCK`), and left 0 where the system will not say.
 */
const LOCATION_SHIFT = 22n;
const LOCATION_MASK = 3n;
const LOCATION_RESIDENT = 1n;

/** Pages that are in memory for certain, of those from `address` on. */
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
