import { NO_ROW } from "./profile.ts";
import type { RoutedLayer } from "./routed-layers.ts";
import { type ExpertUnit, expertNumbers } from "./slices.ts";

/**
 * All experts of some layers, by layer, then by expert. In columns: to rank and judge 30,000 objects
 * would take longer than to read the model's header.
 */
export class ExpertTable {
  readonly layers: readonly RoutedLayer[];
  /** Bytes of each expert's slices. */
  readonly bytes: Float64Array;
  /** Index into {@link layers} of each expert, and its number there. */
  readonly #layer: Uint32Array;
  readonly #expert: Uint32Array;

  constructor(layers: readonly RoutedLayer[]) {
    this.layers = layers;
    const numbers = layers.map(expertNumbers);
    const length = numbers.reduce((sum, each) => sum + each.length, 0);
    this.bytes = new Float64Array(length);
    this.#layer = new Uint32Array(length);
    this.#expert = new Uint32Array(length);
    let at = 0;
    for (const [index, layer] of layers.entries()) {
      const stacked = layer.stacks.reduce((sum, { sliceBytes }) => sum + sliceBytes, 0);
      for (const expert of numbers[index] ?? []) {
        this.#layer[at] = index;
        this.#expert[at] = expert;
        this.bytes[at] = stacked + singleBytes(layer, expert);
        at++;
      }
    }
  }

  get length(): number {
    return this.bytes.length;
  }

  unit(at: number): ExpertUnit {
    const layer = this.layers[this.#layer[at] ?? 0];
    if (layer === undefined) throw new RangeError(`there is no expert ${at} in the table`);
    return { layer, expert: this.#expert[at] ?? 0 };
  }

  /** A number for each expert from rows by block; -1 where there is no row. */
  column(rows: readonly Float64Array[]): Float64Array {
    const values = new Float64Array(this.length);
    for (let at = 0; at < values.length; at++) {
      const row = rows[this.layers[this.#layer[at] ?? 0]?.block ?? 0] ?? NO_ROW;
      values[at] = row[this.#expert[at] ?? 0] ?? -1;
    }
    return values;
  }

  /**
   * The experts in the order of weight per byte, since types and so sizes differ by layer; ties go by
   * layer, then by expert. One of which nothing is known (-1) gets the mean weight of the others.
   */
  hottestFirst(weights: Float64Array): Uint32Array {
    let sum = 0;
    let known = 0;
    for (const weight of weights) {
      if (weight < 0) continue;
      sum += weight;
      known++;
    }
    const mean = known === 0 ? 0 : sum / known;
    const density = weights.map(
      (weight, at) => (weight < 0 ? mean : weight) / (this.bytes[at] ?? 1),
    );
    return descending(density);
  }
}

/**
 * The indices of values, the largest first, ties by index. Numbers are sorted without a comparator, which
 * V8 does in a tenth of the time.
 */
function descending(values: Float64Array): Uint32Array {
  const sorted = values.slice().sort();
  // Of each value the place where its next index goes.
  const places = new Map<number, number>();
  for (let place = sorted.length - 1, at = 0; place >= 0; place--, at++) {
    places.set(sorted[at] ?? 0, place);
  }
  const order = new Uint32Array(values.length);
  for (let index = 0; index < values.length; index++) {
    const value = values[index] ?? 0;
    const place = places.get(value) ?? 0;
    order[place] = index;
    places.set(value, place + 1);
  }
  return order;
}

function singleBytes({ singles }: RoutedLayer, expert: number): number {
  let bytes = 0;
  for (const { byteLength } of singles.get(expert) ?? []) bytes += byteLength;
  return bytes;
}
