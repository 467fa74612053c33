import { describeValue } from "./describe.ts";
import { PrefaultError } from "./errors.ts";
import type { Gate } from "./gate.ts";
import type { Model, Tensor } from "./model/model.ts";
import { modelPaths, openModel } from "./model/open-model.ts";
import type { ModelPlan } from "./passes/pass.ts";
import type { AddressRegion, FileRegion } from "./plan/region.ts";

/**
 * What to make resident: a path or several (a file, or a directory with models in it), an open
 * model, what a pass planned for one, regions of files, or memory somebody else mapped.
 */
export type Target =
  | string
  | readonly string[]
  | Model
  | ModelPlan
  | readonly FileRegion[]
  | readonly AddressRegion[];

/** Regions that are made resident together, or not at all. */
export interface TargetRun {
  /** The target's own, when it has one; the caller's options come first. */
  readonly label?: string;
  readonly gate?: Gate;
  readonly regions: readonly FileRegion[];
  /** In place of regions of files. */
  readonly addresses?: readonly AddressRegion[];
}

/** A target, read. */
export interface ResolvedTarget {
  /** None when the target was regions or a plan: what they name is all there is to tell. */
  readonly models: readonly Model[];
  /** At least one, and more than one only for a plan. */
  readonly runs: readonly TargetRun[];
}

/**
 * Turns a target into runs of regions. A path means every byte of the model's files, headers included; the
 * model is read all the same, since a truncated one should fail here and not in the engine.
 *
 * @throws {@link PrefaultError} what {@link openModel} and {@link modelPaths} throw, and
 *   `PREFAULT_INVALID_OPTION` for something that is no target
 */
export async function resolveTarget(target: Target): Promise<ResolvedTarget> {
  if (typeof target === "string") return wholeModels(await openModels([target]));
  if (isModel(target)) return wholeModels([target]);
  if (isPlan(target)) return { models: [], runs: planRuns(target) };
  if (isPaths(target)) return wholeModels(await openModels(target));
  if (isAddresses(target)) return { models: [], runs: [{ regions: [], addresses: target }] };
  if (isRegions(target)) return { models: [], runs: [{ regions: target }] };
  throw invalidTarget(target);
}

function isModel(target: Target): target is Model {
  const { tensors, files } = (target ?? {}) as Partial<Model>;
  return Array.isArray(tensors) && Array.isArray(files);
}

function isPlan(target: Target): target is ModelPlan {
  const { runs, model } = (target ?? {}) as Partial<ModelPlan>;
  return Array.isArray(runs) && isModel(model as Target);
}

function isPaths(target: Target): target is readonly string[] {
  return Array.isArray(target) && target.every((each) => typeof each === "string");
}

function isAddresses(target: Target): target is readonly AddressRegion[] {
  const first = Array.isArray(target) ? target[0] : undefined;
  if (typeof first?.address !== "bigint") return false;
  return (target as readonly AddressRegion[]).every((each) => typeof each?.address === "bigint");
}

function isRegions(target: Target): target is readonly FileRegion[] {
  return Array.isArray(target) && target.every((each) => typeof each?.path === "string");
}

/** Opens every model the paths stand for. @throws as {@link resolveTarget} */
export async function openModels(paths: readonly string[]): Promise<Model[]> {
  const models: Model[] = [];
  for (const path of paths) {
    for (const model of await modelPaths(path)) models.push(await openModel(model));
  }
  return models;
}

function wholeModels(models: readonly Model[]): ResolvedTarget {
  const regions = models.flatMap(({ files }) =>
    files.map(({ path, byteLength, identity }) => ({
      path,
      identity,
      offset: 0,
      byteLength,
      reason: "the whole file",
    })),
  );
  return { models, runs: [{ regions }] };
}

function planRuns({ model, runs }: ModelPlan): TargetRun[] {
  if (runs.length === 0) return [{ regions: [] }];
  return runs.map(({ label, gate, regions }) => ({
    label,
    gate,
    regions: regions.map(({ tensor, reason }) => ({ ...tensorRegion(model, tensor), reason })),
  }));
}

/** A tensor of a model as a region. */
export function tensorRegion(model: Model, tensor: Tensor): FileRegion {
  const { name, file, offset, byteLength } = tensor;
  const { path = "", identity } = model.files[file] ?? {};
  return { path, identity, offset, byteLength, tensor: name };
}

function invalidTarget(target: unknown): PrefaultError {
  return new PrefaultError(
    "PREFAULT_INVALID_OPTION",
    `a target is a path, paths, a model, a plan or regions, got ${describeValue(target)}`,
  );
}
