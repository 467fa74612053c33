import type { Model } from "../model/model.ts";
import { computingBlocks } from "./counts.ts";
import { type ModelIdentity, modelIdentity } from "./identity.ts";
import { invalidProfile, NO_ROW, type Profile } from "./profile.ts";
import { type RoutedLayer, routedLayers } from "./routed-layers.ts";

/**
 * Fits a profile to a model, or refuses one of another model and says what differs.
 *
 * - Layers and experts have to match; a CSV may list some of them only, and the others count 0.
 * - The fingerprint that our JSON holds has to match. It survives requantising, see `fingerprint`.
 * - An imatrix has no fingerprint: the lengths of its tensors' rows have to match instead.
 * - Blocks that predict further tokens (MTP) may be missing from it, and may be too many in our JSON.
 *
 * @returns the profile with one row for each block of the model: as long as there are experts, or
 *   empty where nothing is known; and with the model's identity, so that it can be written
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION`
 */
export function checkProfile(profile: Profile, model: Model): Profile {
  const { layers } = routedLayers(model);
  const identity = modelIdentity(model, layers);
  const refuse = (why: string) => invalidProfile(profile.path, why);
  if (layers.length === 0) throw refuse("the model has no routed experts that it could rank");
  if (profile.model !== null && profile.model.fingerprint !== identity.fingerprint) {
    throw refuse(`it is of another model: ${difference(profile.model, identity)}`);
  }
  const byBlock = new Map(layers.map((layer) => [layer.block, layer]));
  const mtpFrom = computingBlocks(model);
  for (const [block, row] of profile.weights.entries()) {
    if (row.length === 0) continue;
    const layer = byBlock.get(block);
    if (layer !== undefined) {
      expectExperts(profile, row, layer);
    } else if (profile.model === null || block < mtpFrom) {
      const what = `it has experts of block ${block}, and the model has ${blocksOf(layers)}`;
      throw refuse(`it is of another model: ${what}`);
    }
  }
  expectInputs(profile, model);
  const weights: Float64Array[] = Array.from({ length: identity.layers }, () => NO_ROW);
  for (const { block, experts } of layers) {
    const row = profile.weights[block] ?? NO_ROW;
    if (row.length === experts) {
      weights[block] = row;
    } else if (profile.source === "csv") {
      const padded = new Float64Array(experts);
      padded.set(row);
      weights[block] = padded;
    } else if (profile.source === "imatrix" && block < mtpFrom) {
      throw refuse(`it has no counts for block ${block}, which has ${experts} routed experts`);
    }
  }
  const { layers: rows, experts } = identity;
  return { ...profile, weights, model: identity, layers: rows, experts };
}

function expectExperts(profile: Profile, row: Float64Array, { block, experts }: RoutedLayer): void {
  const fits = profile.source === "csv" ? row.length <= experts : row.length === experts;
  if (fits) return;
  const listed = profile.source === "csv" ? `expert ${row.length - 1}` : `${row.length} experts`;
  throw invalidProfile(
    profile.path,
    `it is of another model: it has ${listed} in block ${block}, and the model has ${experts}`,
  );
}

function expectInputs({ inputLengths, path }: Profile, model: Model): void {
  if (inputLengths.size === 0) return;
  for (const { name, shape } of model.tensors) {
    const expected = inputLengths.get(name);
    if (expected === undefined || expected === shape[0]) continue;
    throw invalidProfile(
      path,
      `it is of another model: ${name} has rows of ${expected} there, and of ${shape[0]} here`,
    );
  }
}

function difference(theirs: ModelIdentity, ours: ModelIdentity): string {
  if (theirs.layers !== ours.layers) {
    return `of one with ${theirs.layers} layers, and this one has ${ours.layers}`;
  }
  if (theirs.experts !== ours.experts) {
    return `of one with ${theirs.experts} experts a layer, and this one has ${ours.experts}`;
  }
  return (
    "as many layers and experts, but of another architecture or size " +
    `(fingerprint ${theirs.fingerprint.slice(0, 40)}, and this one's is ${ours.fingerprint})`
  );
}

function blocksOf(layers: readonly RoutedLayer[]): string {
  return `them in blocks ${layers[0]?.block} to ${layers.at(-1)?.block}`;
}
