import { describeValue } from "../describe.ts";
import { PrefaultError } from "../errors.ts";
import type { FileSet } from "../file/file-set.ts";
import { divideExperts } from "../model/expert-names.ts";
import type { Model, Tensor } from "../model/model.ts";
import type { OpenPathOptions } from "../model/open-model.ts";
import { type FailedPath, type OpenedModels, openModels } from "../model/open-models.ts";
import type { ModelPlan } from "../passes/pass.ts";
import type { AddressRegion, FileRegion } from "../plan/region.ts";
import type { FilesRun, Run } from "./run.ts";

/**
 * What to make resident: a path or several (a file, or a directory with models in it), an open
 * model, what a pass planned for one or for several, regions of files, or memory somebody else mapped.
 */
export type Target =
  | string
  | readonly string[]
  | Model
  | ModelPlan
  | readonly ModelPlan[]
  | readonly FileRegion[]
  | readonly AddressRegion[];

/** A target, read. */
export interface ResolvedTarget {
  /** None when the target was regions or a plan: what they name is all there is to tell. */
  readonly models: readonly Model[];
  /** At least one, unless nothing could be opened; more than one only for plans. */
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
  if (isPlan(target)) return planned([target], options);
  if (isPlans(target)) return planned(target, options);
  if (isPaths(target)) return wholeModels(await openModels(target, options), options);
  if (isAddresses(target)) return runsOnly([{ kind: "addresses", addresses: target }]);
  if (isRegions(target))
    return runsOnly(withFiles([{ kind: "files", regions: target }], options.files));
  throw invalidTarget(target);
}

function planned(plans: readonly ModelPlan[], { files }: OpenPathOptions): ResolvedTarget {
  const runs = withFiles(plans.flatMap(planRuns), files);
  return { ...runsOnly(runs), notes: plans.flatMap(({ notes }) => notes) };
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

function isPlans(target: Target): target is readonly ModelPlan[] {
  return Array.isArray(target) && target.length > 0 && target.every(isPlan);
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
  { files }: OpenPathOptions,
): ResolvedTarget {
  const run = wholeRun(models);
  const runs = models.length === 0 && failures.length > 0 ? [] : [run];
  return {
    models,
    runs: withFiles(runs, files),
    failures,
    notes: [...notes, ...models.flatMap((model) => model.notes ?? [])],
  };
}

/** Every byte of the models' files, together or not at all. */
function wholeRun(models: readonly Model[]): FilesRun {
  return { kind: "files", regions: models.flatMap(wholeRegions) };
}

function wholeRegions({ files }: Model): FileRegion[] {
  return files.map(({ path, byteLength, identity }) => {
    return { path, identity, offset: 0, byteLength, reason: "the whole file" };
  });
}

/**
 * A model as two runs: what every token reads, headers included, and the routed experts. One run for a
 * model without routed experts, and for what is no model, which every request reads too.
 */
export function modelRuns(model: Model): FilesRun[] {
  if (!isPlaceable(model)) return [companionRun(model)];
  const { core, experts } = divideExperts(model.tensors, ({ name }) => name);
  const of = (tensors: readonly Tensor[], reason: string) =>
    tensors.map((tensor) => ({ ...tensorRegion(model, tensor), reason }));
  const runs: FilesRun[] = [
    {
      kind: "files",
      name: "core",
      regions: [...headers(model), ...of(core, "every token reads it")],
      source: { model, tensors: core },
    },
    {
      kind: "files",
      name: "experts",
      label: "experts",
      regions: of(experts, "routed experts"),
      source: { model, tensors: experts },
    },
  ];
  return runs.filter(({ regions }) => regions.length > 0);
}

/** Whether a model has layers that an engine places, unlike a projector, an adapter or any other file. */
export function isPlaceable({ format, kind = "model" }: Model): boolean {
  return format !== "file" && kind === "model";
}

function companionRun(model: Model): FilesRun {
  const { format, kind, tensors } = model;
  return {
    kind: "files",
    name: "core",
    ...(format !== "file" && kind !== undefined && { label: kind }),
    regions: wholeRegions(model),
    source: { model, tensors },
  };
}

/** What lies before the first tensor of each file: an engine reads it when it loads. */
function headers({ files, tensors }: Model): FileRegion[] {
  const ends = files.map(({ byteLength }) => byteLength);
  for (const { file, offset } of tensors) ends[file] = Math.min(ends[file] ?? offset, offset);
  return files.map(({ path, identity }, file) => {
    return { path, identity, offset: 0, byteLength: ends[file] ?? 0, reason: "header" };
  });
}

function planRuns({ model, runs }: ModelPlan): FilesRun[] {
  if (runs.length === 0) return [{ kind: "files", regions: [] }];
  return runs.map(({ name, label, gate, regions }) => ({
    kind: "files",
    name,
    label,
    gate,
    regions: regions.map(({ tensor, reason }) => ({ ...tensorRegion(model, tensor), reason })),
    source: { model, tensors: regions.map(({ tensor }) => tensor) },
  }));
}

function withFiles(runs: readonly FilesRun[], files: FileSet | undefined): FilesRun[] {
  return runs.map((run) => (files === undefined ? run : { ...run, files }));
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
