import type { Shim } from "../../shims/index.ts";
import type { SweepControl } from "../control/sweep-control.ts";
import type { MemoryWatch } from "../memory/memory-watch.ts";
import type { Chunk, Filler } from "./filler.ts";
import { PopulateBatches } from "./populate-batches.ts";

/**
 * Fills mappings that other code made, in place. It populates and does not touch: no WASM kernel reaches
 * such memory, and there is no file to lease. A range that is no longer mapped, or lies past the end of
 * its file, fails with an error.
 *
 * A chunk's offset is an address here: the planning kernels work with any numbers.
 */
export class AddressFiller implements Filler {
  readonly #batches: PopulateBatches;

  constructor(control: SweepControl, shim: Shim, watch: MemoryWatch) {
    this.#batches = new PopulateBatches(control, shim, watch);
  }

  get untouchedBytes(): number {
    return this.#batches.bytes;
  }

  fill(chunk: Chunk): void {
    this.#batches.populate(BigInt(chunk.offset), chunk);
  }

  close(): void {}
}
