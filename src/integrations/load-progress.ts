import { guarded } from "../guarded.ts";

/**
 * The progress of a load and of the sweep beside it as one number from 0 to 1 that never falls. The
 * sweep fills half of what the load has left: the load says nothing while it maps a file, and its end
 * is the end.
 */
export class LoadProgress {
  readonly #tell: (share: number) => void;
  #loaded = 0;
  #swept = 0;
  #told = 0;
  #over = false;

  constructor(tell: (share: number) => void) {
    this.#tell = tell;
  }

  /** @param share of the load that is done */
  loaded(share: number): void {
    this.#loaded = share;
    this.#update();
  }

  /** @param share of the sweep that is done */
  swept(share: number): void {
    this.#swept = share;
    this.#update();
  }

  /** The load is over: nothing is told any more, but for the end itself when it `succeeded`. */
  end(succeeded: boolean): void {
    // The loader's own last word may come when it has already resolved.
    if (succeeded) guarded(this.loaded.bind(this))(1);
    this.#over = true;
  }

  #update(): void {
    const share = this.#loaded + ((1 - this.#loaded) * this.#swept) / 2;
    // Also false for NaN, which a loader may make of a model without weights.
    if (this.#over || !(share > this.#told && share <= 1)) return;
    this.#told = share;
    this.#tell(share);
  }
}
