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

/** A batch of a chunk, with its place in the mapping and in WebAssembly memory. */
interface MappedBatch extends MappedRange {
  readonly chunk: Chunk;
  readonly kernels: Kernels;
  /** Where it begins in its arena's memory, in bytes. */
  readonly linear: number;
}

/**
 * A writer that waits for a lease gets the file after `/proc/sys/fs/lease-break-time`, 45 s by default, also while a
 * touch is under way. So a lease is given back after this time, and no more pages are touched between two looks at
 * the clock than a device with half a second for each reads in 8 s.
 */
const LEASE_MS = 1000;
const SLOW_PIECE_PAGES = 16;

/**
 * Fills through the mapping: a hint, then `MADV_POPULATE_READ` with the `populate` strategy, then a touch
 * of every page by the WASM kernel. A page counts as resident once it was touched. Under a hypervisor
 * the touch also maps the page on the host, which populating alone leaves to the next reader
 * (`npm run bench -- --scope pool`).
 *
 * A touch past the end of a file that shrank raises SIGBUS, which ends the process. So a file lease is
 * held during the touch, and the file's size is checked under it. Where no lease can be had, the batch
 * is not touched: the `populate` strategy has filled it already, and the `touch` strategy populates or
 * reads it instead.
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
    const fillsFolios = this.#folioFaults.fill(whole, chunk.file);
    if (!fillsFolios) this.#hint(whole);
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
    if (fillsFolios) this.#folioFaults.clearMarks(whole);
    // Drops this mapping's page tables; the page cache keeps the pages. Without this the main thread
    // would drop those of the whole model when it unmaps, and block. Not for a mapping that is kept: its
    // users may have stored in it.
    if (!this.#task.keepPageTables) this.#shim.zapPageTables(whole.address, whole.byteLength);
  }

  close(): void {
    // Nearly everything was cached before: the folio of the last batch then stands for all.
    if (this.#foliosUnknown && !this.#control.cancelled && this.#last !== undefined) {
      const areLarge = inLargeFolio(this.#shim, this.#last);
      if (areLarge !== null) this.#control.settleFolios(areLarge);
    }
    for (const lease of this.#leases.values()) lease?.close();
    this.#leases.clear();
  }

  get #foliosUnknown(): boolean {
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

  /** No hint where the kernel fills large folios: with a hint it would fill small ones. */
  #hint({ address, byteLength }: MappedBatch): void {
    if (this.#control.largeFolios !== false) return;
    const { hintBytes } = this.#task;
    for (let at = 0; at < byteLength; at += hintBytes) {
      const bytes = Math.min(hintBytes, byteLength - at);
      this.#shim.advise(address + BigInt(at), bytes, "will-need");
    }
  }

  #fillBatch(batch: MappedBatch): void {
    const showsFolios = this.#foliosUnknown && lastFolioIsCold(this.#shim, batch);
    const started = performance.now();
    if (this.#populates) {
      this.#shim.populate(batch.address, batch.byteLength);
      // Not with the touch that follows, which checks the cancel word by itself.
      this.#batchSize.took(performance.now() - started);
    }
    const touched = this.#touch(batch);
    const { chunk, byteLength } = batch;
    if (touched < byteLength)
      this.#fillUntouched(this.#batch(chunk, touched, byteLength - touched));
    if (!this.#populates) this.#batchSize.took(performance.now() - started);
    if (showsFolios) this.#control.sawFolio(inLargeFolio(this.#shim, batch));
    this.#last = batch;
  }

  /** @returns how many bytes were touched, which needs a lease on the file; all when the sweep is cancelled */
  #touch({ kernels, linear, byteLength, file, fileOffset }: MappedBatch): number {
    const lease = this.#lease(file);
    const { pageBytes } = this.#shim;
    // What was populated is there: its touch waits for no device.
    const pieceBytes = this.#populates ? byteLength : SLOW_PIECE_PAGES * pageBytes;
    for (let done = 0; done < byteLength && !this.#control.cancelled; ) {
      if (!lease?.hold()) return done;
      const heldMs = performance.now();
      try {
        // A batch is whole pages; the file need not be.
        const end = Math.min(fileOffset + byteLength, file.byteLength);
        if (fstatSync(file.fd).size < end) throw new FileShrank();
        do {
          const bytes = Math.min(pieceBytes, byteLength - done);
          kernels.touch_pages(linear + done, bytes, pageBytes);
          done += bytes;
        } while (done < byteLength && performance.now() - heldMs < LEASE_MS);
      } finally {
        lease.release();
      }
    }
    return byteLength;
  }

  /** Fills a batch without a touch, so that a file that shrinks causes an error and no signal. */
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
