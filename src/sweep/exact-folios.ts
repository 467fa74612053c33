import { readSync } from "node:fs";
import type { Shim } from "../../shims/index.ts";
import { FOLIO_BYTES, type Window } from "../arena/layout.ts";
import type { FileSource } from "../files.ts";
import { type FilledWindow, lastFolio, lastFolioIsCold } from "./large-folios.ts";
import type { LaneArena, LaneTask } from "./protocol.ts";
import { readAheadBytes } from "./read-ahead.ts";

/**
 * Faults that read one large folio each, and nothing besides: for a device that reads ahead less than
 * two, which is every disk that nobody tuned. Its read-ahead would follow each folio with 128 KiB of
 * small pages, in the way of the next folio (`npm run bench -- --scope peers`).
 *
 * A mapping with both `MADV_HUGEPAGE` and `MADV_RANDOM` is filled so since Linux 5.18
 * (mm/filemap.c, `do_sync_mmap_readahead`). Before, random access meant single pages: the first cold
 * folio a lane meets shows which it is.
 */
export function wantsExactFolios({ facts }: FileSource): boolean {
  // What another machine answers for is not asked on this thread.
  return facts.isLocal && readAheadBytes(facts) < 2 * FOLIO_BYTES;
}

/** Windows of files, where they are mapped. */
interface Placed {
  readonly windows: readonly Window[];
  readonly arenas: readonly LaneArena[];
  /** By file, whether it is filled in exact folios. */
  readonly exactFolios: readonly boolean[];
}

/** Asks for exact folios wherever they are wanted, or for the system's own read-ahead again. */
export function adviseExactFolios(placed: Placed, advice: "random" | "normal", shim: Shim): void {
  for (const { arena, start, file, byteLength } of placed.windows) {
    const memory = placed.arenas[arena];
    if (memory === undefined || !placed.exactFolios[file]) continue;
    shim.advise(memory.base + BigInt(start + memory.skew), byteLength, advice);
  }
}

/** What one lane knows of them. */
export class ExactFolios {
  readonly #task: LaneTask;
  readonly #shim: Shim;
  readonly #byte = new Uint8Array(1);
  /** Whether a fault brings a whole folio; unknown before a cold one was met. */
  #works: boolean | null = null;

  constructor(task: LaneTask, shim: Shim) {
    this.#task = task;
    this.#shim = shim;
  }

  /**
   * Whether a window of a file is filled so. Finds it out, and undoes the advice where it is not.
   *
   * Where it cannot be found out, because the window is cached already or the system does not tell what
   * is, the answer is no: under the advice a kernel before 5.18 would read page by page.
   */
  fill(window: FilledWindow, file: number): boolean {
    if (!this.#task.exactFolios[file]) return false;
    if (this.#works === null && lastFolioIsCold(this.#shim, window)) {
      this.#works = this.#bringsFolio(window);
      if (!this.#works) adviseExactFolios(this.#task, "normal", this.#shim);
    }
    if (this.#works === null) this.#shim.advise(window.address, window.byteLength, "normal");
    return this.#works === true;
  }

  /**
   * Each folio is left with the mark at which a reader starts reading ahead. Nothing is ahead of it,
   * but the next mapping would stop at every one to find out, at a fifth of its speed; a read takes
   * the mark away.
   */
  clearMarks({ file, fileOffset, byteLength }: FilledWindow): void {
    for (let at = 0; at < byteLength; at += FOLIO_BYTES) {
      readSync(file.fd, this.#byte, 0, 1, fileOffset + at);
    }
  }

  #bringsFolio(window: FilledWindow): boolean {
    const offset = lastFolio(window);
    if (offset === null) return false;
    const address = window.address + BigInt(offset - window.fileOffset);
    this.#shim.populate(address, this.#shim.pageBytes);
    return this.#shim.residentBytes(window.file, offset, FOLIO_BYTES) === FOLIO_BYTES;
  }
}
