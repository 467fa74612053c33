import { loadShim, type Shim } from "../../shims/index.ts";
import { abortable, closed } from "../abortable.ts";
import type { RoutedLayer } from "../experts/routed-layers.ts";
import { expertSlices, slicesOfExpert } from "../experts/slices.ts";
import type { Model, Tensor } from "../model/model.ts";
import { type Plan, planRegions } from "../plan/plan.ts";
import { pagesOf } from "../plan/range.ts";
import { tensorRegion } from "../target/target.ts";
import { residentBytes } from "./count.ts";

/** What of the routed experts of one layer is resident. */
export interface LayerResidency {
  /** Number of the block. */
  readonly block: number;
  /** By expert, the share of its bytes that is in the page cache, from 0 to 1. */
  readonly shares: Float64Array;
}

/** Looks at the routed experts of a model, any number of times, through files that stay open. */
export class ExpertWatch implements AsyncDisposable {
  readonly layers: readonly RoutedLayer[];
  readonly #plan: Plan;
  readonly #shim: Shim;
  readonly #fileOf: ReadonlyMap<number, number>;
  readonly #signal: AbortSignal | undefined;

  private constructor(
    layers: readonly RoutedLayer[],
    plan: Plan,
    shim: Shim,
    fileOf: ReadonlyMap<number, number>,
    signal: AbortSignal | undefined,
  ) {
    this.layers = layers;
    this.#plan = plan;
    this.#shim = shim;
    this.#fileOf = fileOf;
    this.#signal = signal;
  }

  /**
   * @param tensors the routed experts to look at. @defaultValue all of the model
   * @throws {@link PrefaultError} what opening the files throws, and `PREFAULT_ABORTED`
   */
  static async open(
    model: Model,
    tensors: readonly Tensor[] = model.tensors,
    signal?: AbortSignal,
  ): Promise<ExpertWatch> {
    const shim = await loadShim();
    const { layers } = expertSlices(model, tensors);
    const own = layers.flatMap(({ stacks, singles }) => [
      ...stacks.map(({ tensor }) => tensor),
      ...[...singles.values()].flat(),
    ]);
    const opening = planRegions(
      own.map((tensor) => tensorRegion(model, tensor)),
      shim,
    );
    const plan = await abortable(signal, opening, (late) => late.close());
    const fileOf = new Map(
      own.map((tensor) => [tensor.file, plan.locate(tensorRegion(model, tensor)).index]),
    );
    return new ExpertWatch(layers, plan, shim, fileOf, signal);
  }

  /** @returns `null` when the system does not say what is resident */
  async look(): Promise<LayerResidency[] | null> {
    const found: LayerResidency[] = [];
    for (const layer of this.layers) {
      const shares = new Float64Array(layer.experts);
      for (let expert = 0; expert < layer.experts; expert++) {
        const share = await this.#shareOf(layer, expert);
        if (share === null) return null;
        shares[expert] = share;
      }
      found.push({ block: layer.block, shares });
    }
    return found;
  }

  async #shareOf(layer: RoutedLayer, expert: number): Promise<number | null> {
    let bytes = 0;
    let resident = 0;
    for (const { file: number, offset, byteLength } of slicesOfExpert({ layer, expert })) {
      const file = this.#plan.files[this.#fileOf.get(number) ?? -1]?.file;
      if (file === undefined) continue;
      const pages = pagesOf({ offset, byteLength }, this.#shim.pageBytes);
      const count = await residentBytes(this.#shim, file, [pages], this.#signal);
      if (count === null) return null;
      bytes += byteLength;
      // A slice begins and ends within a page.
      resident += Math.min(count, byteLength);
    }
    return bytes === 0 ? 0 : resident / bytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await closed(this.#signal, this.#plan.close());
  }
}
