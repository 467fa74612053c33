import { PrefaultError } from "../errors.ts";
import type { Model } from "../model/model.ts";
import { type ModelIdentity, modelIdentity } from "./identity.ts";
import { invalidProfile, NO_ROW, type Profile } from "./profile.ts";
import { routedLayers } from "./routed-layers.ts";

/**
 * What of each expert was resident at one look: by block, then by expert, the share of its bytes from 0
 * to 1. An empty row, or none, for a block that was not looked at.
 */
export type ResidencySample = readonly ArrayLike<number>[];

/** A millionth of an expert is less than a page; more digits would only lengthen the file. */
const DIGITS = 1e6;

/** Sums residency over any number of looks, and keeps none of them. */
export class ResidencySum {
  readonly #identity: ModelIdentity;
  /** Experts of each block, 0 for one without. */
  readonly #experts: readonly number[];
  readonly #sums: Float64Array[];
  #samples = 0;

  constructor(model: Model) {
    const { layers } = routedLayers(model);
    this.#identity = modelIdentity(model, layers);
    const byBlock = new Map(layers.map((layer) => [layer.block, layer]));
    const blocks = Array.from({ length: this.#identity.layers }, (_, block) => block);
    this.#experts = blocks.map((block) => byBlock.get(block)?.experts ?? 0);
    this.#sums = blocks.map(() => NO_ROW);
  }

  get samples(): number {
    return this.#samples;
  }

  /** @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION`, and then the sample counts nothing */
  add(sample: ResidencySample): void {
    for (const [block, row] of sample.entries()) this.#expectRow(block, row);
    for (const [block, row] of sample.entries()) {
      if (row.length === 0) continue;
      if (this.#sums[block] === NO_ROW) this.#sums[block] = new Float64Array(row.length);
      const sums = this.#sums[block] ?? NO_ROW;
      for (let expert = 0; expert < row.length; expert++) {
        sums[expert] = (sums[expert] ?? 0) + (row[expert] ?? 0);
      }
    }
    this.#samples++;
  }

  /** What was summed so far. */
  profile(): Profile {
    const { layers, experts } = this.#identity;
    return {
      source: "json",
      layers,
      experts,
      samples: this.#samples,
      weights: this.#sums.map((row) => row.map((sum) => Math.round(sum * DIGITS) / DIGITS)),
      model: this.#identity,
      inputLengths: new Map(),
      notes: [],
      path: null,
    };
  }

  #expectRow(block: number, row: ArrayLike<number>): void {
    if (row.length === 0) return;
    const experts = this.#experts[block] ?? 0;
    const isShare = (share: number) => share >= 0 && share <= 1;
    if (row.length === experts && Array.prototype.every.call(row, isShare)) return;
    throw new PrefaultError(
      "PREFAULT_INVALID_OPTION",
      `the residency of block ${block} needs ${experts} shares from 0 to 1, or none`,
    );
  }
}

/** A profile of a single look: what was resident at that moment. */
export function snapshotProfile(model: Model, sample: ResidencySample): Profile {
  const sum = new ResidencySum(model);
  sum.add(sample);
  return sum.profile();
}

/**
 * Adds profiles of one model up: several recordings, or several snapshots. Each counts by its
 * samples, so that those of one kind should be merged: a token count would drown a few looks at the
 * page cache.
 *
 * @param profiles - at least one, recorded, read from JSON, or fitted by `checkProfile`
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` for profiles of different models, or
 *   without counts
 */
export function mergeProfiles(profiles: readonly Profile[]): Profile {
  const [first, ...others] = profiles;
  if (first === undefined) throw invalidProfile(null, "there is none to merge");
  for (const { model, samples, path } of profiles) {
    if (model === null) throw invalidProfile(path, "it does not say of which model it is");
    if (samples === 0) throw invalidProfile(path, "it has no counts that could be added up");
    if (model.fingerprint !== first.model?.fingerprint) {
      throw invalidProfile(path, `it is of another model than ${first.path ?? "the first one"}`);
    }
  }
  return others.reduce(add, { ...first, source: "json", path: null });
}

function add(a: Profile, b: Profile): Profile {
  const rows = Math.max(a.weights.length, b.weights.length);
  const weights = Array.from({ length: rows }, (_, block) => {
    const [one, other] = [a.weights[block] ?? NO_ROW, b.weights[block] ?? NO_ROW];
    if (one.length === 0 || other.length === 0) return one.length === 0 ? other : one;
    if (one.length === other.length) return one.map((weight, at) => weight + (other[at] ?? 0));
    throw invalidProfile(
      b.path,
      `block ${block} has ${other.length} experts there, and ${one.length} in another`,
    );
  });
  // With and without the blocks that predict further tokens, the fingerprint is the same.
  const model = (a.model?.layers ?? 0) >= rows ? a.model : b.model;
  const samples = a.samples === null || b.samples === null ? null : a.samples + b.samples;
  const notes = [...new Set([...a.notes, ...b.notes])];
  return { ...a, weights, layers: rows, samples, model, notes };
}
