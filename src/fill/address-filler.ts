import type { Shim } from "../../shims/index.ts";
import type { SweepControl } from "../control/sweep-control.ts";
import type { MemoryWatch } from "../memory/memory-watch.ts";
import { BatchSize } from "./batch-size.ts";
import { type Chunk, type Filler, FillFailed } from "./filler.ts";

/**
 * Fills mappings that somebody else made, in place. There is no file to hold still and no WASM
 * kernel reaches foreign memory, so this populates and touches nothing: a range that is no longer
 * mapped, or lies past the end of its file, gives an error.
 *
 * A chunk's offset is an address here: the planning kernels count in any unit.
 */
export class AddressFiller implements Filler {
  untouchedBytes = 0;
  readonly #control: SweepControl;
  readonly #shim: Shim;
  readonly #watch: MemoryWatch;
  readonly #batchSize = new BatchSize();

  constructor(control: SweepControl, shim: Shim, watch: MemoryWatch) {
    this.#control = control;
    this.#shim = shim;
    this.#watch = watch;
  }

  fill({ offset, byteLength }: Chunk): void {
    for (let done = 0; done < byteLength && !this.#control.cancelled; ) {
      const batch = this.#watch.allow(Math.min(this.#batchSize.bytes, byteLength - done));
      const started = performance.now();
      try {
        this.#shim.populate(BigInt(offset + done), batch);
      } catch (cause) {
        throw new FillFailed(offset + done, batch, cause);
      }
      this.#batchSize.took(performance.now() - started);
      this.#control.addProgress(batch);
      this.untouchedBytes += batch;
      done += batch;
    }
  }

  close(): void {}
}
