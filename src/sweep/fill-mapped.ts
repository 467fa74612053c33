import { fstatSync } from "node:fs";
import type { FileLease, Shim } from "../../shims/index.ts";
import type { ControlPage } from "../control.ts";
import type { FileSource } from "../files.ts";
import { bindKernels, type Kernels } from "../kernels/kernels.ts";
import { ExactFolios } from "./exact-folios.ts";
import { ReadFiller } from "./fill-read.ts";
import {
  FileShrank,
  type Filler,
  FillFailed,
  MemoryRanShort,
  restOf,
  type Stretch,
} from "./filler.ts";
import { type FilledWindow, inLargeFolio, lastFolioIsCold } from "./large-folios.ts";
import type { MemoryWatch } from "./memory-watch.ts";
import type { LaneTask } from "./protocol.ts";
import { WindowSize } from "./window-size.ts";

/** A window of a stretch, as the mapping and the kernels see it. */
interface MappedWindow extends FilledWindow {
  readonly stretch: Stretch;
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
 * out: `populate` has filled the window already, and `touch` fills it the way that strategy would.
 */
export class MappedFiller implements Filler {
  untouchedBytes = 0;
  readonly #task: LaneTask;
  readonly #control: ControlPage;
  readonly #shim: Shim;
  readonly #watch: MemoryWatch;
  readonly #populates: boolean;
  readonly #kernels: readonly Kernels[];
  readonly #leases = new Map<number, FileLease | null>();
  readonly #windowSize = new WindowSize();
  readonly #exactFolios: ExactFolios;
  readonly #reader: ReadFiller;
  #last: MappedWindow | undefined;

  constructor(task: LaneTask, control: ControlPage, shim: Shim, watch: MemoryWatch) {
    this.#task = task;
    this.#control = control;
    this.#shim = shim;
    this.#watch = watch;
    this.#populates = task.strategy === "populate";
    this.#exactFolios = new ExactFolios(task, shim);
    this.#reader = new ReadFiller(task, control, shim, watch);
    this.#kernels = task.arenas.map(({ memory }) => bindKernels(memory));
  }

  fill(stretch: Stretch): void {
    const whole = this.#window(stretch, 0, stretch.byteLength);
    const isExact = this.#exactFolios.fill(whole, stretch.file);
    if (!isExact) this.#hint(whole);
    for (let done = 0; done < stretch.byteLength && !this.#control.cancelled; ) {
      const byteLength = this.#watch.allow(
        Math.min(this.#windowSize.bytes, stretch.byteLength - done),
      );
      const window = this.#window(stretch, done, byteLength);
      try {
        this.#fillWindow(window);
      } catch (cause) {
        if (cause instanceof FileShrank || cause instanceof MemoryRanShort) throw cause;
        throw new FillFailed(window.fileOffset, byteLength, cause);
      }
      done += byteLength;
    }
    if (isExact) this.#exactFolios.clearMarks(whole);
    // The page cache keeps the pages; what goes are this mapping's page tables, here and by this
    // thread. Left to the end, taking down 40 GiB of them would block the main thread. A mapping that
    // is kept has users, who may have stored in it.
    if (!this.#task.keepTables) this.#shim.zapPageTables(whole.address, whole.byteLength);
  }

  close(): void {
    // Next to nothing came from the device: then what the last window lies in stands for all.
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

  #window(stretch: Stretch, done: number, byteLength: number): MappedWindow {
    const arena = this.#task.arenas[stretch.arena];
    const kernels = this.#kernels[stretch.arena];
    const file = this.#task.files[stretch.file];
    if (arena === undefined || kernels === undefined || file === undefined) {
      throw new RangeError(`no arena ${stretch.arena} or no file ${stretch.file}`);
    }
    const linear = stretch.start + done + arena.skew;
    const address = arena.base + BigInt(linear);
    const fileOffset = stretch.offset + done;
    const window = { ...restOf(stretch, fileOffset), byteLength };
    return {
      stretch: window,
      kernels,
      linear,
      address,
      byteLength,
      file,
      fileOffset,
    };
  }

  /** Left out where the kernel fills large folios: a hint would have it fill small ones. */
  #hint({ address, byteLength }: MappedWindow): void {
    if (this.#control.largeFolios !== false) return;
    const { hintBytes } = this.#task;
    for (let at = 0; at < byteLength; at += hintBytes) {
      const piece = Math.min(hintBytes, byteLength - at);
      this.#shim.advise(address + BigInt(at), piece, "will-need");
    }
  }

  #fillWindow(window: MappedWindow): void {
    const tells = this.#knowsNothing && lastFolioIsCold(this.#shim, window);
    const started = performance.now();
    if (this.#populates) {
      this.#shim.populate(window.address, window.byteLength);
      // The touch behind it looks at the cancel word by itself, however long it takes.
      this.#windowSize.took(performance.now() - started);
    }
    if (!this.#touch(window)) this.#fillUntouched(window);
    if (!this.#populates) this.#windowSize.took(performance.now() - started);
    if (tells) this.#control.sawFolio(inLargeFolio(this.#shim, window));
    this.#last = window;
  }

  /** @returns whether the window was touched: not without the file being held still */
  #touch({ kernels, linear, byteLength, file, fileOffset }: MappedWindow): boolean {
    const lease = this.#lease(file);
    if (!lease?.hold()) return false;
    try {
      // A window is whole pages; the file need not be.
      const end = Math.min(fileOffset + byteLength, file.byteLength);
      if (fstatSync(file.fd).size < end) throw new FileShrank();
      kernels.touch_pages(linear, byteLength, this.#shim.pageBytes);
      return true;
    } finally {
      lease.release();
    }
  }

  /** In a way that fails with an error, should the file shrink. */
  #fillUntouched({ stretch, address, byteLength }: MappedWindow): void {
    if (!this.#shim.canPopulate) {
      this.#reader.fill(stretch);
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
