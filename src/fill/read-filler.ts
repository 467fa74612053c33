import { readSync } from "node:fs";
import type { Shim } from "../../shims/index.ts";
import type { SweepControl } from "../control/sweep-control.ts";
import type { MemoryWatch } from "../memory/memory-watch.ts";
import type { FillTask } from "./fill-task.ts";
import { type Chunk, FileShrank, type Filler, FillFailed } from "./filler.ts";

/**
 * Bytes of one read: enough that the copy takes much longer than the call, and few enough that the buffer
 * stays in the processor's cache and an abort is noticed soon on a slow device.
 */
const READ_BYTES = 1024 ** 2;

/** Fills by reading into one buffer, which is used for every read: no mapping, and no signal. */
export class ReadFiller implements Filler {
  readonly untouchedBytes = 0;
  readonly #task: FillTask;
  readonly #control: SweepControl;
  readonly #shim: Shim;
  readonly #watch: MemoryWatch;
  #buffer: Uint8Array | undefined;

  constructor(task: FillTask, control: SweepControl, shim: Shim, watch: MemoryWatch) {
    this.#task = task;
    this.#control = control;
    this.#shim = shim;
    this.#watch = watch;
  }

  fill({ file, offset, byteLength }: Chunk): void {
    const source = this.#task.files[file];
    if (source === undefined) throw new RangeError(`no file ${file}`);
    this.#shim.prefetch([{ fd: source.fd, offset, byteLength, address: 0n }]);
    // A chunk is whole pages; the file need not be.
    const end = Math.min(offset + byteLength, source.byteLength);
    for (let at = offset; at < end && !this.#control.cancelled; ) {
      const read = this.#read(source.fd, at, this.#watch.allow(Math.min(READ_BYTES, end - at)));
      if (read === 0) throw new FileShrank();
      at += read;
      this.#control.addProgress(at < end ? read : read + (offset + byteLength - end));
    }
  }

  #read(fd: number, offset: number, byteLength: number): number {
    try {
      this.#buffer ??= new Uint8Array(READ_BYTES);
      return readSync(fd, this.#buffer, 0, byteLength, offset);
    } catch (cause) {
      throw new FillFailed(offset, byteLength, cause);
    }
  }

  close(): void {}
}
