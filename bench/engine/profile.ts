import { writeFileSync } from "node:fs";
import { modelIdentity } from "../../src/experts/identity.ts";
import type { Profile } from "../../src/experts/profile.ts";
import { writeProfile } from "../../src/experts/profile-json.ts";
import type { Model } from "../../src/model/model.ts";
import { expertSlices } from "./expert-slices.ts";

/**
 * Measured counts as a profile of the package: a row for each block, and none for a dense one.
 *
 * @param counts by layers that have routed experts, in their order, and experts
 * @param samples tokens that were counted
 */
export function countedProfile(
  model: Model,
  counts: readonly (readonly number[])[],
  samples: number,
): Profile {
  const identity = modelIdentity(model);
  const { layers, experts } = identity;
  const weights = Array.from({ length: layers }, () => new Float64Array(0));
  for (const [index, { layer }] of expertSlices(model).layers.entries()) {
    weights[layer] = Float64Array.from(counts[index] ?? []);
  }
  return {
    source: "json",
    layers,
    experts,
    samples,
    weights,
    model: identity,
    inputLengths: new Map(),
    notes: [],
    path: null,
  };
}

export function writeJsonProfile(path: string, profile: Profile): void {
  writeFileSync(path, writeProfile(profile));
}

/** Writes lines of block, expert, count. Experts that were never used have none. */
export function writeCsvProfile(path: string, { weights }: Profile): void {
  const lines = weights.flatMap((row, block) =>
    Array.from(row).flatMap((count, expert) => (count > 0 ? [`${block},${expert},${count}`] : [])),
  );
  writeFileSync(path, `${["layer,expert,count", ...lines].join("\n")}\n`);
}
