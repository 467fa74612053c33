import { createHash } from "node:crypto";
import type { Model } from "../model/model.ts";
import { computingBlocks } from "./counts.ts";
import { type RoutedLayer, routedLayers } from "./routed-layers.ts";

/** What a profile remembers of the model it was made of. */
export interface ModelIdentity {
  /** Blocks up to the last one that has routed experts, dense ones included: rows of a profile. */
  readonly layers: number;
  /** Routed experts of a block; the most, should blocks differ. */
  readonly experts: number;
  /** Tensors of routed experts. To be read by people: how a converter divides them is no matter. */
  readonly tensors: number;
  /** Sixteen hexadecimal digits; the same for two models whose routers choose among the same experts. */
  readonly fingerprint: string;
}

/** Changes when the fingerprint is made of something else. */
const VERSION = "prefault-experts-1";

/** @param layers of the model, where the caller has them */
export function modelIdentity(
  model: Model,
  layers: readonly RoutedLayer[] = routedLayers(model).layers,
): ModelIdentity {
  return {
    layers: (layers.at(-1)?.block ?? -1) + 1,
    experts: layers.reduce((most, { experts }) => Math.max(most, experts), 0),
    tensors: layers.reduce((sum, layer) => sum + tensorsIn(layer), 0),
    fingerprint: fingerprint(model, layers),
  };
}

function tensorsIn({ stacks, singles }: RoutedLayer): number {
  return [...singles.values()].reduce((sum, { length }) => sum + length, stacks.length);
}

/**
 * Sixteen hexadecimal digits that stand for the router's choices: the architecture, and for each block
 * with routed experts its number, how many there are, and the elements of one.
 *
 * Types, sizes in bytes and offsets are left out, since a profile of a model in Q4 is as good for the
 * same model in Q5, and so are names, since gate and up are one tensor in some files. Blocks that
 * predict further tokens are left out because some publishers strip them. Weights are left out
 * because reading them would take as long as warming: fine-tunes of one model look the same.
 */
export function fingerprint(
  model: Model,
  layers: readonly RoutedLayer[] = routedLayers(model).layers,
): string {
  const most = computingBlocks(model);
  const shape = layers
    .filter(({ block }) => block < most)
    .map(({ block, experts, elements }) => [block, experts, elements]);
  const text = JSON.stringify(
    [VERSION, model.metadata["general.architecture"] ?? "", shape],
    exact,
  );
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** What JSON has no words for. */
function exact(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
