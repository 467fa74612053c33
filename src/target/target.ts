import { describeValue } from "../describe.ts";
import { PrefaultError } from "../errors.ts";
import type { Model, Tensor } from "../model/model.ts";
import type { OpenPathOptions } from "../model/open-model.ts";
import { type FailedPath, type OpenedModels, openModels } from "../model/open-models.ts";
import type { ModelPlan } from "../passes/pass.ts";
import type { AddressRegion, FileRegion } from "../plan/region.ts";
import type { FilesRun, Run } from "./run.ts";

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

/** A target, read. */
export interface ResolvedTarget {
  /** None when the target was regions or a plan: what they name is all there is to tell. */
  readonly models: readonly Model[];
  /** At least one, unless nothing could be opened; more than one only for a plan. */
  readonly runs: readonly Run[];
  /** Paths that could not be opened, beside others that could. */
  readonly failures: readonly FailedPath[];
  /** What a person should know about the target, one sentence each. */
  readonly notes: readonly string[];
}

/**
 * Turns a target into runs of regions. A path means every byte of the model's files, headers included; the
 * model is read all the same, since a truncated one should fail here and not in the engine.
 *
 * Of several paths, or of a directory, one that cannot be opened is in `failures`, and the others are in
 * the runs.
 *
 * @throws {@link PrefaultError} what {@link openModels} throws, and `PREFAULT_INVALID_OPTION` for
 *   something that is no target
 */
export async function resolveTarget(
  target: Target,
  options: OpenPathOptions = {},
): Promise<ResolvedTarget> {
  if (typeof target === "string") return wholeModels(await openModels([target], options), options);
  if (isModel(target)) return wholeModels({ models: [target], failures: [], notes: [] }, options);
  if (isPlan(target)) return { ...runsOnly(planRuns(target, options)), notes: target.notes };
  if (isPaths(target)) return wholeModels(await openModels(target, options), options);
  if (isAddresses(target)) return runsOnly([{ kind: "addresses", addresses: target }]);
  if (isRegions(target)) return runsOnly([filesRun(target, options)]);
  throw invalidTarget(target);
}

function runsOnly(runs: readonly Run[]): ResolvedTarget {
  return { models: [], runs, failures: [], notes: [] };
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

function wholeModels(
  { models, failures, notes }: OpenedModels,
  options: OpenPathOptions,
): ResolvedTarget {
  const regions = models.flatMap(({ files }) =>
    files.map(({ path, byteLength, identity }) => ({
      path,
      identity,
      offset: 0,
      byteLength,
      reason: "the whole file",
    })),
  );
  return {
    models,
    runs: models.length === 0 && failures.length > 0 ? [] : [filesRun(regions, options)],
    failures,
    notes: [...notes, ...models.flatMap((model) => model.notes ?? [])],
  };
}

function planRuns({ model, runs }: ModelPlan, options: OpenPathOptions): FilesRun[] {
  if (runs.length === 0) return [filesRun([], options)];
  return runs.map(({ label, gate, regions }) => ({
    ...filesRun(
      regions.map(({ tensor, reason }) => ({ ...tensorRegion(model, tensor), reason })),
      options,
    ),
    label,
    gate,
  }));
}

function filesRun(regions: readonly FileRegion[], { files }: OpenPathOptions): FilesRun {
  return { kind: "files", regions, ...(files && { files }) };
}

/** The regions of files that a target's runs name. */
export function fileRegions(runs: readonly Run[]): FileRegion[] {
  return runs.flatMap((run) => (run.kind === "files" ? run.regions : []));
}

/** The memory that a target's runs name. */
export function addressRegions(runs: readonly Run[]): AddressRegion[] {
  return runs.flatMap((run) => (run.kind === "addresses" ? run.addresses : []));
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
