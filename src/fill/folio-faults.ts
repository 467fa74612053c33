import { readSync } from "node:fs";
import type { Shim } from "../../shims/index.ts";
import { PMD_BYTES } from "../arena/layout.ts";
import type { FileSource } from "../file/open-file.ts";
import type { FillTask } from "./fill-task.ts";
import { lastFolio, lastFolioIsCold, type MappedRange } from "./large-folios.ts";
import { readAheadBytes } from "./read-ahead.ts";

/**
 * Whether each fault should read one large folio and nothing more: on devices whose read-ahead is less
 * than two large folios, which is every disk with Linux's default of 128 KiB. There the usual read-ahead
 * fills 128 KiB of small pages after each folio, and these prevent the next large folio
 * (`npm run bench -- --scope peers`).
 *
 * Since Linux 5.18 a mapping with both `MADV_HUGEPAGE` and `MADV_RANDOM` is filled in this way
 * (mm/filemap.c, `do_sync_mmap_readahead`). Older kernels read single pages under `MADV_RANDOM`. Each
 * worker finds out which applies at the first folio that is not cached.
 */
export function wantsFolioFaults({ facts }: FileSource): boolean {
  // Residency of a file on another machine is not asked here, since its server may not answer.
  return facts.isLocal && readAheadBytes(facts) < 2 * PMD_BYTES;
}

/** Advises the mappings of a task: `random` for one large folio a fault, where wanted; `normal` undoes it. */
export function adviseFolioFaults(task: FillTask, advice: "random" | "normal", shim: Shim): void {
  for (const { arena, start, file, byteLength } of task.extents) {
    const memory = task.arenas[arena];
    if (memory === undefined || !task.folioFaults[file]) continue;
    shim.advise(memory.base + BigInt(start + memory.alignOffset), byteLength, advice);
  }
}

/** Fills one large folio with each fault, after one worker has seen that the kernel does so. */
export class FolioFaults {
  readonly #task: FillTask;
  readonly #shim: Shim;
  readonly #byte = new Uint8Array(1);
  /** Whether a fault fills a whole folio; `null` before the first folio that was not cached. */
  #works: boolean | null = null;

  constructor(task: FillTask, shim: Shim) {
    this.#task = task;
    this.#shim = shim;
  }

  /**
   * Whether a batch of a file is filled with one large folio a fault. Tries it at first, and undoes the
   * advice where it does not work.
   *
   * Returns false where it cannot be tried, because the batch is cached already or residency is unknown:
   * with the advice a kernel before 5.18 would read page by page.
   */
  fill(batch: MappedRange, file: number): boolean {
    // The probe populates, which kernels before 5.14 cannot.
    if (!this.#task.folioFaults[file] || !this.#shim.canPopulate) return false;
    if (this.#works === null && lastFolioIsCold(this.#shim, batch)) {
      this.#works = this.#faultFillsFolio(batch);
      if (!this.#works) adviseFolioFaults(this.#task, "normal", this.#shim);
    }
    if (this.#works === null) this.#shim.advise(batch.address, batch.byteLength, "normal");
    return this.#works === true;
  }

  /**
   * Clears the read-ahead mark (`PG_readahead`) of each folio of a batch, by a read of one byte. With the
   * mark, each fault of the next mapping stops to start a read-ahead that finds nothing to read: that
   * mapping would have a fifth of its speed.
   */
  clearMarks({ file, fileOffset, byteLength }: MappedRange): void {
    for (let at = 0; at < byteLength; at += PMD_BYTES) {
      readSync(file.fd, this.#byte, 0, 1, fileOffset + at);
    }
  }

  #faultFillsFolio(batch: MappedRange): boolean {
    const offset = lastFolio(batch);
    if (offset === null) return false;
    const address = batch.address + BigInt(offset - batch.fileOffset);
    this.#shim.populate(address, this.#shim.pageBytes);
    return this.#shim.residentBytes(batch.file, offset, PMD_BYTES) === PMD_BYTES;
  }
}
