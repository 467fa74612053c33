import { closeSync, openSync, readSync } from "node:fs";
import type { FoundMapping } from "prefault";
import { bindLibc } from "../../shims/libc.ts";

const MADV_DONTNEED = 4; // asm-generic/mman-common.h
const MADV_NOHUGEPAGE = 15;

/** Bit of an entry of `/proc/self/pagemap`: the page is in the page table (admin-guide/mm/pagemap.rst). */
const PRESENT = 0x80;
const ENTRY_BYTES = 8;

/** Pages of a range that faults on its two neighbours can map: less than 64 KiB each (`fault_around_bytes`). */
const BROUGHT_ALONG = 2 * 15;

/**
 * Which pages of a file this process has touched through a mapping it already has, whoever made it.
 *
 * The mapping's page table is emptied, which loses nothing of a file's shared or read-only mapping; pages
 * that are touched afterwards are in it again. The kernel maps up to 64 KiB of neighbours along with a
 * page (fault-around), so a range counts as touched only when more of it is mapped.
 */
export class PageTables {
  readonly #mappings: readonly FoundMapping[];
  readonly #libc = bindLibc();
  readonly #pageBytes = this.#libc.getpagesize();
  readonly #pagemap = openSync("/proc/self/pagemap", "r");

  constructor(mappings: readonly FoundMapping[]) {
    if (mappings.length === 0) throw new Error("the file is not mapped in this process");
    this.#mappings = mappings;
    // A large folio would be mapped as one entry of 2 MiB, over several ranges at once.
    this.#advise(MADV_NOHUGEPAGE);
  }

  drop(): void {
    this.#advise(MADV_DONTNEED);
  }

  /**
   * Whether a range was touched as a whole: more of its pages are in the page table than faults
   * on its neighbours can map. Not all need to be: the kernel may have reclaimed some.
   *
   * @param byteLength several times 64 KiB
   */
  isTouched(offset: number, byteLength: number): boolean {
    const page = this.#pageBytes;
    const first = Math.ceil(offset / page);
    const count = Math.floor((offset + byteLength) / page) - first;
    if (count <= BROUGHT_ALONG)
      throw new RangeError(`${byteLength} bytes are too few to show whether they were touched`);
    const entries = Buffer.allocUnsafe(count * ENTRY_BYTES);
    const at = Number(this.#addressOf(first * page, count * page) / BigInt(page)) * ENTRY_BYTES;
    if (readSync(this.#pagemap, entries, 0, entries.byteLength, at) !== entries.byteLength) {
      throw new Error("/proc/self/pagemap ends early");
    }
    let present = 0;
    for (let entry = 0; entry < count; entry++) {
      if (((entries[entry * ENTRY_BYTES + 7] ?? 0) & PRESENT) !== 0) present++;
    }
    return present > (BROUGHT_ALONG + count) / 2;
  }

  close(): void {
    closeSync(this.#pagemap);
  }

  #addressOf(offset: number, byteLength: number): bigint {
    const mapping = this.#mappings.find(
      (each) => each.offset <= offset && each.offset + each.byteLength >= offset + byteLength,
    );
    if (mapping === undefined) throw new Error(`nothing is mapped at ${offset}`);
    return mapping.address + BigInt(offset - mapping.offset);
  }

  #advise(advice: number): void {
    for (const { address, byteLength } of this.#mappings) {
      if (this.#libc.madvise(address, byteLength, advice) !== 0) {
        throw new Error(`madvise ${advice} of ${byteLength} bytes failed`);
      }
    }
  }
}
