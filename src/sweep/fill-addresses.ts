import type { Shim } from "../../shims/index.ts";
import type { ControlPage } from "../control.ts";
import { type Filler, FillFailed, type Stretch } from "./filler.ts";
import type { MemoryWatch } from "./memory-watch.ts";
import { WindowSize } from "./window-size.ts";

/**
 * Fills mappings that somebody else made, in place. There is no file to hold still and no WASM
 * kernel reaches foreign memory, so this populates and touches nothing: a range that is no longer
 * mapped, or lies past the end of its file, gives an error.
 *
 * A stretch's offset is an address here: the planning kernels count in any unit.
 */
export class AddressFiller implements Filler {
  untouchedBytes = 0;
  readonly #control: ControlPage;
  readonly #shim: Shim;
  readonly #watch: MemoryWatch;
  readonly #windowSize = new WindowSize();

  constructor(control: ControlPage, shim: Shim, watch: MemoryWatch) {
    this.#control = control;
    this.#shim = shim;
    this.#watch = watch;
  }

  fill({ offset, byteLength }: Stretch): void {
    for (let done = 0; done < byteLength && !this.#control.cancelled; ) {
      const window = this.#watch.allow(Math.min(this.#windowSize.bytes, byteLength - done));
      const started = performance.now();
      try {
        this.#shim.populate(BigInt(offset + done), window);
      } catch (cause) {
        throw new FillFailed(offset + done, window, cause);
      }
      this.#windowSize.took(performance.now() - started);
      this.#control.addProgress(window);
      this.untouchedBytes += window;
      done += window;
    }
  }

  close(): void {}
}
