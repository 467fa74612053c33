import { writeFileSync } from "node:fs";

/** What a profile says of its model. The package's `modelIdentity` gives it. */
export interface ProfiledModel {
  readonly layers: number;
  readonly experts: number;
  readonly tensors: number;
  readonly fingerprint: string;
}

/** Writes measured counts as the package's own profile. @param samples tokens that were counted */
export function writeJsonProfile(
  path: string,
  model: ProfiledModel,
  samples: number,
  weights: readonly (readonly number[])[],
): void {
  const profile = { format: "prefault-profile", version: 1, model, samples, weights };
  writeFileSync(path, `${JSON.stringify(profile)}\n`);
}

/** Writes them as lines of layer, expert, count. Experts that were never used have none. */
export function writeCsvProfile(path: string, weights: readonly (readonly number[])[]): void {
  const lines = weights.flatMap((layer, index) =>
    layer.flatMap((count, expert) => (count > 0 ? [`${index},${expert},${count}`] : [])),
  );
  writeFileSync(path, `${["layer,expert,count", ...lines].join("\n")}\n`);
}
