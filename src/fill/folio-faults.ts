import { readSync } from "node:fs";
import type { Shim } from "../../shims/index.ts";
import { PMD_BYTES } from "../arena/layout.ts";
import type { FileSource } from "../file/open-file.ts";
import type { FillTask } from "./fill-task.ts";
import { lastFolio, lastFolioIsCold, type MappedRange } from "./large-folios.ts";
import { readAheadBytes } from "./read-ahead.ts";

/**
 * Whether each fault should read one large folio, and nothing beside it: on a device that reads ahead
 * less than two of them, as every disk does that nobody tuned. Its read-ahead would follow each folio with 128 KiB of
 * small pages, in the way of the next folio (`npm run bench -- --scope peers`).
 *
 * A mapping with both `MADV_HUGEPAGE` and `MADV_RANDOM` is filled so since Linux 5.18
 * (mm/filemap.c, `do_sync_mmap_readahead`). Before, random access meant single pages: the first cold
 * folio a worker meets shows which it is.
 */
export function wantsFolioFaults({ facts }: FileSource): boolean {
  // What another machine answers for is not asked on this thread.
  return facts.isLocal && readAheadBytes(facts) < 2 * PMD_BYTES;
}

/** Advises the mappings of a task: one large folio a fault where that is wanted, or the usual read-ahead. */
export function adviseFolioFaults(task: FillTask, advice: "random" | "normal", shim: Shim): void {
  for (const { arena, start, file, byteLength } of task.extents) {
    const memory = task.arenas[arena];
    if (memory === undefined || !task.folioFaults[file]) continue;
    shim.advise(memory.base + BigInt(start + memory.alignOffset), byteLength, advice);
  }
}

/** Fills one large folio a fault, as far as one worker has seen that the kernel does so. */
export class FolioFaults {
  readonly #task: FillTask;
  readonly #shim: Shim;
  readonly #byte = new Uint8Array(1);
  /** Whether a fault brings a whole folio; unknown before a cold one was met. */
  #works: boolean | null = null;

  constructor(task: FillTask, shim: Shim) {
    this.#task = task;
    this.#shim = shim;
  }

  /**
   * Whether a batch of a file is filled so. Finds it out, and undoes the advice where it is not.
   *
   * Where it cannot be found out, because the batch is cached already or the system does not tell what
   * is, the answer is no: under the advice a kernel before 5.18 would read page by page.
   */
  fill(batch: MappedRange, file: number): boolean {
    if (!this.#task.folioFaults[file]) return false;
    if (this.#works === null && lastFolioIsCold(this.#shim, batch)) {
      this.#works = this.#bringsFolio(batch);
      if (!this.#works) adviseFolioFaults(this.#task, "normal", this.#shim);
    }
    if (this.#works === null) this.#shim.advise(batch.address, batch.byteLength, "normal");
    return this.#works === true;
  }

  /**
   * Each folio is left with the mark at which a reader starts reading ahead. Nothing is ahead of it,
   * but the next mapping would stop at every one to find out, at a fifth of its speed; a read takes
   * the mark away.
   */
  clearMarks({ file, fileOffset, byteLength }: MappedRange): void {
    for (let at = 0; at < byteLength; at += PMD_BYTES) {
      readSync(file.fd, this.#byte, 0, 1, fileOffset + at);
    }
  }

  #bringsFolio(batch: MappedRange): boolean {
    const offset = lastFolio(batch);
    if (offset === null) return false;
    const address = batch.address + BigInt(offset - batch.fileOffset);
    this.#shim.populate(address, this.#shim.pageBytes);
    return this.#shim.residentBytes(batch.file, offset, PMD_BYTES) === PMD_BYTES;
  }
}
