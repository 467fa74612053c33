import { read } from "node:fs";
import { promisify } from "node:util";
import type { Shim } from "../../shims/index.ts";
import { PMD_BYTES } from "../arena/layout.ts";
import type { FillTask } from "./fill-task.ts";
import { adviseFolioFaults } from "./folio-faults.ts";
import { lastFolio, lastFolioIsCold, type MappedRange } from "./large-folios.ts";

const readAsync = promisify(read);

/**
 * Populates a mapping on libuv's threads, while the event loop runs. No page is touched: a touch would block the event
 * loop until the device answers.
 *
 * Not on kernels where a populate may hang: it would hold threads that the whole process shares, and the read that
 * finds it out needs one of them.
 */
export class BackgroundPopulate {
  /** Bytes filled so far, none of which was touched. */
  untouchedBytes = 0;
  readonly #task: FillTask;
  readonly #shim: Shim;
  readonly #byte = new Uint8Array(1);
  /** Whether a fault fills a whole folio, as in `FolioFaults`; `null` before the first folio that was not cached. */
  #fillsFolios: boolean | null = null;

  constructor(task: FillTask, shim: Shim) {
    this.#task = task;
    this.#shim = shim;
  }

  get isPossible(): boolean {
    const { strategy, arenas } = this.#task;
    return strategy === "populate" && arenas.length > 0 && !this.#shim.populateMayHang;
  }

  /** @param file the number of the range's file @returns whether all of the range is resident */
  async fill(range: MappedRange, file: number): Promise<boolean> {
    const { address, byteLength, fileOffset } = range;
    const byFolios = this.#task.folioFaults[file] === true && (await this.#probe(range));
    await this.#shim.populateInBackground(address, byteLength);
    // To drop the page tables of a whole model at once, when it is unmapped, would block the event loop.
    if (!this.#task.keepPageTables) this.#shim.zapPageTables(address, byteLength);
    if (this.#shim.residentBytes(range.file, fileOffset, byteLength) !== byteLength) return false;
    if (byFolios) await this.#clearMarks(range);
    this.untouchedBytes += byteLength;
    return true;
  }

  /** Finds out whether the advice for large folios works here, and undoes it where it does not. */
  async #probe(range: MappedRange): Promise<boolean> {
    if (this.#fillsFolios !== null) return this.#fillsFolios;
    const offset = lastFolio(range);
    if (offset === null || !lastFolioIsCold(this.#shim, range)) {
      this.#shim.advise(range.address, range.byteLength, "normal");
      return false;
    }
    const address = range.address + BigInt(offset - range.fileOffset);
    await this.#shim.populateInBackground(address, this.#shim.pageBytes);
    this.#fillsFolios ??= this.#shim.residentBytes(range.file, offset, PMD_BYTES) === PMD_BYTES;
    if (!this.#fillsFolios) adviseFolioFaults(this.#task, "normal", this.#shim);
    return this.#fillsFolios;
  }

  /** As `FolioFaults.clearMarks` does it. */
  async #clearMarks({ file, fileOffset, byteLength }: MappedRange): Promise<void> {
    for (let at = 0; at < byteLength; at += PMD_BYTES) {
      await readAsync(file.fd, this.#byte, 0, 1, fileOffset + at).catch(() => {});
    }
  }
}
