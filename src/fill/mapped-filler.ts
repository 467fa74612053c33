import { fstatSync } from "node:fs";
import type { FileLease, Shim } from "../../shims/index.ts";
import type { SweepControl } from "../control/sweep-control.ts";
import type { FileSource } from "../file/open-file.ts";
import { bindKernels, type Kernels } from "../kernels/kernels.ts";
import { MemoryRanShort, type MemoryWatch } from "../memory/memory-watch.ts";
import { BatchSize } from "./batch-size.ts";
import type { FillTask } from "./fill-task.ts";
import { type Chunk, FileShrank, type Filler, FillFailed, restOf } from "./filler.ts";
import { FolioFaults } from "./folio-faults.ts";
import { inLargeFolio, lastFolioIsCold, type MappedRange } from "./large-folios.ts";
import { ReadFiller } from "./read-filler.ts";

/** A batch of a chunk, as the mapping and the kernels see it. */
interface MappedBatch extends MappedRange {
  readonly chunk: Chunk;
  readonly kernels: Kernels;
  /** Where it begins in its arena's memory, in bytes. */
  readonly linear: number;
}

/**
 * Fills through the mapping: a hint, then `MADV_POPULATE_READ` where the strategy says so, then one
 * touch of every page by the WASM kernel, which is what declares a page resident. Under a hypervisor
 * the touch is also what maps the page on the host: populating alone leaves that to the next reader
 * (`npm run bench -- --scope pool`).
 *
 * A touch past the end of a file that shrank would kill the process, so the file is held still for
 * the length of it, and its size is asked under the lease. Where it cannot be held, the touch is left
 * out: `populate` has filled the batch already, and `touch` fills it the way that strategy would.
 */
export class MappedFiller implements Filler {
  untouchedBytes = 0;
  readonly #task: FillTask;
  readonly #control: SweepControl;
  readonly #shim: Shim;
  readonly #watch: MemoryWatch;
  readonly #populates: boolean;
  readonly #kernels: readonly Kernels[];
  readonly #leases = new Map<number, FileLease | null>();
  readonly #batchSize = new BatchSize();
  readonly #folioFaults: FolioFaults;
  readonly #reader: ReadFiller;
  #last: MappedBatch | undefined;

  constructor(task: FillTask, control: SweepControl, shim: Shim, watch: MemoryWatch) {
    this.#task = task;
    this.#control = control;
    this.#shim = shim;
    this.#watch = watch;
    this.#populates = task.strategy === "populate";
    this.#folioFaults = new FolioFaults(task, shim);
    this.#reader = new ReadFiller(task, control, shim, watch);
    this.#kernels = task.arenas.map(({ memory }) => bindKernels(memory));
  }

  fill(chunk: Chunk): void {
    const whole = this.#batch(chunk, 0, chunk.byteLength);
    const isExact = this.#folioFaults.fill(whole, chunk.file);
    if (!isExact) this.#hint(whole);
    for (let done = 0; done < chunk.byteLength && !this.#control.cancelled; ) {
      const byteLength = this.#watch.allow(
        Math.min(this.#batchSize.bytes, chunk.byteLength - done),
      );
      const batch = this.#batch(chunk, done, byteLength);
      try {
        this.#fillBatch(batch);
      } catch (cause) {
        if (cause instanceof FileShrank || cause instanceof MemoryRanShort) throw cause;
        throw new FillFailed(batch.fileOffset, byteLength, cause);
      }
      done += byteLength;
    }
    if (isExact) this.#folioFaults.clearMarks(whole);
    // The page cache keeps the pages; what goes are this mapping's page tables, here and by this
    // thread. Left to the end, taking down 40 GiB of them would block the main thread. A mapping that
    // is kept has users, who may have stored in it.
    if (!this.#task.keepPageTables) this.#shim.zapPageTables(whole.address, whole.byteLength);
  }

  close(): void {
    // Next to nothing came from the device: then what the last batch lies in stands for all.
    if (this.#knowsNothing && !this.#control.cancelled && this.#last !== undefined) {
      const areLarge = inLargeFolio(this.#shim, this.#last);
      if (areLarge !== null) this.#control.settleFolios(areLarge);
    }
    for (const lease of this.#leases.values()) lease?.close();
    this.#leases.clear();
  }

  get #knowsNothing(): boolean {
    return this.#control.largeFolios === null;
  }

  #batch(chunk: Chunk, done: number, byteLength: number): MappedBatch {
    const arena = this.#task.arenas[chunk.arena];
    const kernels = this.#kernels[chunk.arena];
    const file = this.#task.files[chunk.file];
    if (arena === undefined || kernels === undefined || file === undefined) {
      throw new RangeError(`no arena ${chunk.arena} or no file ${chunk.file}`);
    }
    const linear = chunk.start + done + arena.alignOffset;
    const address = arena.base + BigInt(linear);
    const fileOffset = chunk.offset + done;
    const batch = { ...restOf(chunk, fileOffset), byteLength };
    return {
      chunk: batch,
      kernels,
      linear,
      address,
      byteLength,
      file,
      fileOffset,
    };
  }

  /** Left out where the kernel fills large folios: a hint would have it fill small ones. */
  #hint({ address, byteLength }: MappedBatch): void {
    if (this.#control.largeFolios !== false) return;
    const { hintBytes } = this.#task;
    for (let at = 0; at < byteLength; at += hintBytes) {
      const piece = Math.min(hintBytes, byteLength - at);
      this.#shim.advise(address + BigInt(at), piece, "will-need");
    }
  }

  #fillBatch(batch: MappedBatch): void {
    const tells = this.#knowsNothing && lastFolioIsCold(this.#shim, batch);
    const started = performance.now();
    if (this.#populates) {
      this.#shim.populate(batch.address, batch.byteLength);
      // The touch behind it looks at the cancel word by itself, however long it takes.
      this.#batchSize.took(performance.now() - started);
    }
    if (!this.#touch(batch)) this.#fillUntouched(batch);
    if (!this.#populates) this.#batchSize.took(performance.now() - started);
    if (tells) this.#control.sawFolio(inLargeFolio(this.#shim, batch));
    this.#last = batch;
  }

  /** @returns whether the batch was touched: not without the file being held still */
  #touch({ kernels, linear, byteLength, file, fileOffset }: MappedBatch): boolean {
    const lease = this.#lease(file);
    if (!lease?.hold()) return false;
    try {
      // A batch is whole pages; the file need not be.
      const end = Math.min(fileOffset + byteLength, file.byteLength);
      if (fstatSync(file.fd).size < end) throw new FileShrank();
      kernels.touch_pages(linear, byteLength, this.#shim.pageBytes);
      return true;
    } finally {
      lease.release();
    }
  }

  /** In a way that fails with an error, should the file shrink. */
  #fillUntouched({ chunk, address, byteLength }: MappedBatch): void {
    if (!this.#shim.canPopulate) {
      this.#reader.fill(chunk);
    } else {
      if (!this.#populates) this.#shim.populate(address, byteLength);
      this.#control.addProgress(byteLength);
    }
    this.untouchedBytes += byteLength;
  }

  #lease(file: FileSource): FileLease | null {
    let lease = this.#leases.get(file.fd);
    if (lease === undefined) {
      lease = this.#shim.openLease(file);
      this.#leases.set(file.fd, lease);
    }
    return lease;
  }
}
