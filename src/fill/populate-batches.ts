import type { Shim } from "../../shims/index.ts";
import type { SweepControl } from "../control/sweep-control.ts";
import type { MemoryWatch } from "../memory/memory-watch.ts";
import { BatchSize } from "./batch-size.ts";
import { type Chunk, FillFailed } from "./filler.ts";

/** Populates chunks batch by batch, at addresses that no WASM kernel reaches. */
export class PopulateBatches {
  /** Bytes populated so far. */
  bytes = 0;
  readonly #control: SweepControl;
  readonly #shim: Shim;
  readonly #watch: MemoryWatch;
  readonly #batchSize = new BatchSize();

  constructor(control: SweepControl, shim: Shim, watch: MemoryWatch) {
    this.#control = control;
    this.#shim = shim;
    this.#watch = watch;
  }

  /**
   * Populates a chunk that is mapped at `address`, until the sweep is cancelled.
   *
   * @throws {@link FillFailed} for the batch that fails, {@link MemoryRanShort}
   */
  populate(address: bigint, { offset, byteLength }: Chunk): void {
    for (let done = 0; done < byteLength && !this.#control.cancelled; ) {
      const batch = this.#watch.allow(Math.min(this.#batchSize.bytes, byteLength - done));
      const started = performance.now();
      try {
        this.#shim.populate(address + BigInt(done), batch);
      } catch (cause) {
        throw new FillFailed(offset + done, batch, cause);
      }
      this.#batchSize.took(performance.now() - started);
      this.#control.addProgress(batch);
      this.bytes += batch;
      done += batch;
    }
  }
}
