import type { Shim } from "../../shims/index.ts";
import { checkProfile } from "../experts/check-profile.ts";
import { findImatrix } from "../experts/find-imatrix.ts";
import type { Profile } from "../experts/profile.ts";
import { readProfile } from "../experts/read-profile.ts";
import type { Verdict } from "../experts/verdict.ts";
import { allowedBytes } from "../gate.ts";
import { availableBytes } from "../memory/memory.ts";
import { BUFFER_BYTES } from "../model/header-cursor.ts";
import type { ResolvedOptions } from "../options.ts";
import type { FilesRun, Run } from "../target/run.ts";
import { modelRuns, type ResolvedTarget } from "../target/target.ts";
import { formatBytes } from "../units.ts";
import { chooseWithin, isExperts } from "./choose.ts";
import { fits } from "./gate.ts";

/** A target whose runs are those that will be executed. */
export interface ArrangedTarget extends ResolvedTarget {
  /** Bytes that may become resident; `null` without a budget. */
  readonly budgetBytes: number | null;
  /** What the budget and the profile bring, for each model with routed experts. */
  readonly verdicts: readonly Verdict[];
}

/**
 * Fits a target to the machine: chooses within a budget where there is one, and divides a model that does
 * not fit as a whole into what every token reads and its routed experts.
 *
 * @throws {@link PrefaultError} what {@link readProfile} and {@link checkProfile} throw
 */
export async function arrange(
  target: ResolvedTarget,
  options: ResolvedOptions,
  shim: Shim,
): Promise<ArrangedTarget> {
  if (options.budget !== undefined) return withinBudget(target, options, shim);
  const whole = { ...target, budgetBytes: null, verdicts: [] };
  const bytes = target.runs.reduce((sum, run) => sum + bytesOf(run), 0);
  const gate = target.runs.find((run) => run.kind === "files")?.gate;
  // A file whose length was not given counts 0; the executor asks the gate with its real length.
  if (fits({ bytes, residentBytes: 0, gate }, options, shim)) return whole;
  const runs = divided(target);
  const experts = runs.find(isExperts);
  const notes = experts === undefined ? [] : [adviceOn(experts)];
  return { ...whole, runs, notes: [...target.notes, ...notes] };
}

/** Whether a part of the target is to be filled, because not all of it fits or a budget says so. */
export function isPartial({ budgetBytes, runs }: ArrangedTarget): boolean {
  return budgetBytes !== null || runs.some((run) => run.kind === "files" && run.isExact === true);
}

/** For a person whose model does not fit. */
function adviceOn(experts: Run): string {
  return (
    `the routed experts (${formatBytes(bytesOf(experts))}) do not fit beside what every token reads: ` +
    "--budget auto warms as many of them as fit, and --profile FILE those that are used most"
  );
}

/** The runs of a target that does not fit as a whole: exact, and divided by use. */
function divided(target: ResolvedTarget): readonly Run[] {
  const [model, ...others] = target.models;
  const parts = model !== undefined && others.length === 0 ? modelRuns(model) : [];
  // A dense model has no experts: the whole of it is asked of the gate again, and skipped.
  const runs = parts.length > 1 ? parts.map((run) => like(run, target.runs)) : target.runs;
  return runs.map((run) => (run.kind === "files" ? { ...run, isExact: true } : run));
}

async function withinBudget(
  target: ResolvedTarget,
  options: ResolvedOptions,
  shim: Shim,
): Promise<ArrangedTarget> {
  const budgetBytes = budgetOf(options, shim);
  const profile = await profileOf(options);
  const byUse = target.models.flatMap(modelRuns).map((run) => like(run, target.runs));
  const runs = byUse.length > 0 ? byUse : target.runs;
  const chosen = chooseWithin(
    await Promise.all(runs.map(sized)),
    { budgetBytes: Math.max(0, budgetBytes - headerBytes(runs)), pageBytes: shim.pageBytes },
    (model) => profile && checkProfile(profile, model),
  );
  const offers = profile === null ? await offersFor(target, options) : [];
  const spent = `a budget of ${formatBytes(budgetBytes)}`;
  return {
    ...target,
    runs: options.budget === "auto" ? leaving(options.reserveBytes, chosen.runs) : chosen.runs,
    budgetBytes,
    verdicts: chosen.verdicts,
    notes: [
      ...target.notes,
      ...(profile?.notes ?? []),
      ...offers,
      ...chosen.notes.map((note) => `${spent}: ${note}`),
    ],
  };
}

/** A budget that was computed is watched while it is filled: the memory that it leaves may become less. */
function leaving(bytes: number, runs: readonly Run[]): Run[] {
  let filledBytes = 0;
  return runs.map((run) => {
    if (run.kind !== "files" || run.skipped !== undefined) return run;
    const reserve = { bytes, filledBytes };
    filledBytes += bytesOf(run);
    return { ...run, reserve };
  });
}

/** With the length of each region. A file that cannot be opened is reported when it is filled. */
async function sized(run: Run): Promise<Run> {
  if (run.kind !== "files" || run.source !== undefined) return run;
  const { files } = run;
  if (files === undefined) return run;
  const regions = run.regions.map(async (region) => {
    if (region.byteLength !== undefined) return region;
    const size = await files.open(region.path).then(
      ({ byteLength }) => byteLength,
      () => 0,
    );
    return { ...region, byteLength: Math.max(0, size - (region.offset ?? 0)) };
  });
  return { ...run, regions: await Promise.all(regions) };
}

/** To read a header brings at most a buffer's length along, which is resident before anything is chosen. */
function headerBytes(runs: readonly Run[]): number {
  const paths = runs.flatMap((run) =>
    run.kind === "files" && run.source !== undefined && run.source.model.format !== "file"
      ? run.source.model.files.map(({ path }) => path)
      : [],
  );
  return BUFFER_BYTES * new Set(paths).size;
}

/** An imatrix beside the model says which experts are used most. It is offered, and not used unasked. */
async function offersFor(
  { models, runs }: ResolvedTarget,
  { signal }: ResolvedOptions,
): Promise<string[]> {
  const source = runs.find((run) => run.kind === "files" && run.name === "experts");
  const model = source?.kind === "files" ? source.source?.model : models[0];
  const path = model?.files[0]?.path;
  if (model === undefined || path === undefined) return [];
  const [offer] = await findImatrix(path, model, { signal, most: 1 });
  return offer === undefined
    ? []
    : [`${offer.path} says which experts are used most: give it as --profile to rank them`];
}

/** Bytes that may become resident now: the least of what was asked for and what the gate allows. */
function budgetOf({ budget, reserveBytes }: ResolvedOptions, shim: Shim): number {
  if (typeof budget === "number") return budget;
  return Math.max(0, allowedBytes(availableBytes(0, shim.memory())) - reserveBytes);
}

async function profileOf({ profile, signal }: ResolvedOptions): Promise<Profile | null> {
  if (profile === undefined) return null;
  return typeof profile === "string" ? readProfile(profile, { signal }) : profile;
}

/** Opened through the same set of files as the runs of the target. */
function like(run: FilesRun, runs: readonly Run[]): FilesRun {
  const files = runs.find((each) => each.kind === "files")?.files;
  return files === undefined ? run : { ...run, files };
}

function bytesOf(run: Run): number {
  if (run.kind !== "files") return 0;
  return run.regions.reduce((sum, { byteLength = 0 }) => sum + byteLength, 0);
}
