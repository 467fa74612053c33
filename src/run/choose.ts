import { planExperts } from "../experts/plan-experts.ts";
import type { Profile } from "../experts/profile.ts";
import { slicesOf } from "../experts/select.ts";
import { expertSlices } from "../experts/slices.ts";
import type { Verdict } from "../experts/verdict.ts";
import type { Model, Tensor } from "../model/model.ts";
import { mergePages } from "../plan/merge.ts";
import { partsOf } from "../plan/parts.ts";
import { pagesOf } from "../plan/range.ts";
import { RangeList } from "../plan/range-table.ts";
import type { FileRegion } from "../plan/region.ts";
import type { FilesRun, Run, RunSource } from "../target/run.ts";
import { isPlaceable, tensorRegion } from "../target/target.ts";
import { formatBytes } from "../units.ts";

export interface Budget {
  /** Bytes that may become resident. */
  readonly budgetBytes: number;
  /** A power of two. */
  readonly pageBytes: number;
}

export interface Chosen {
  readonly runs: readonly Run[];
  /** One for each model with routed experts. */
  readonly verdicts: readonly Verdict[];
  /** What was left out, one sentence each. */
  readonly notes: readonly string[];
}

/**
 * Chooses what of the runs fits into a budget: of each model first what every token reads, in the order
 * in which inference needs it, then the routed experts that are chosen most. What is no model, such as a
 * projector, goes before the experts, and fits as a whole or is skipped. Bytes are counted in whole pages,
 * so that the budget is never exceeded.
 *
 * @param profileFor fits the profile to a model; `null` without one
 */
export function chooseWithin(
  runs: readonly Run[],
  { budgetBytes, pageBytes }: Budget,
  profileFor: (model: Model) => Profile | null,
): Chosen {
  let left = budgetBytes;
  const chosen: Run[] = [];
  const verdicts: Verdict[] = [];
  const notes: string[] = [];
  // Of the last core: experts share pages with it, and those count once.
  let coreBytes = 0;
  for (const run of beforeExperts(movedToCore(runs))) {
    if (run.kind !== "files") {
      chosen.push(run);
    } else if (run.source === undefined || isCompanion(run)) {
      const bytes = pageBytesOf(run.regions, pageBytes);
      const fits = bytes <= left;
      chosen.push(fits ? wholeRun(run) : skippedRun(run, exceeds(bytes, left, budgetBytes)));
      if (fits) left -= bytes;
    } else if (isExperts(run)) {
      const { model, tensors } = run.source;
      const budget = { budgetBytes: left + coreBytes, coreBytes, pageBytes };
      const plan = planExperts(model, profileFor(model), budget, tensors);
      verdicts.push(plan.verdict);
      notes.push(plan.verdict.sentence.replace(/\.$/, ""));
      chosen.push(expertsRun(run, run.source, plan));
      left -= plan.selection.residentBytes;
    } else {
      const core = coreRun(run, left, pageBytes);
      coreBytes = core.residentBytes;
      left -= coreBytes;
      chosen.push(core.run);
      if (core.leftOutBytes > 0) notes.push(coreNote(core));
    }
  }
  return { runs: chosen, verdicts, notes };
}

/** Whether a run is that of the routed experts. */
export function isExperts(run: Run): run is FilesRun & { readonly name: "experts" } {
  return run.kind === "files" && run.name === "experts";
}

/** Experts whose slices cannot be told belong to the core: every token reads some part of each. */
function movedToCore(runs: readonly Run[]): Run[] {
  const unsliced = runs.map((run) => {
    if (!isExperts(run) || run.source === undefined) return new Set<Tensor>();
    const found = expertSlices(run.source.model, run.source.tensors).unsliced;
    return new Set(found.map(({ tensor }) => tensor));
  });
  return runs.map((run, index) => {
    if (run.kind !== "files" || run.source === undefined) return run;
    if (isExperts(run)) {
      const moved = unsliced[index] ?? new Set();
      if (moved.size === 0) return run;
      const tensors = run.source.tensors.filter((tensor) => !moved.has(tensor));
      return { ...run, source: { ...run.source, tensors } };
    }
    const { model } = run.source;
    const moved = [...(unsliced[index + 1] ?? [])];
    const regions = [...run.regions, ...moved.map((tensor) => tensorRegion(model, tensor))];
    const source = { model, tensors: [...run.source.tensors, ...moved] };
    return moved.length === 0 ? run : { ...run, regions, source };
  });
}

/** Puts what is no model behind the core of the first model, before any routed experts. */
function beforeExperts(runs: readonly Run[]): Run[] {
  const models = runs.filter((run) => !isCompanion(run));
  const first = models.findIndex(isExperts);
  const at = first === -1 ? models.length : first;
  return [...models.slice(0, at), ...runs.filter(isCompanion), ...models.slice(at)];
}

function isCompanion(run: Run): boolean {
  return run.kind === "files" && run.source !== undefined && !isPlaceable(run.source.model);
}

function wholeRun(run: FilesRun): FilesRun {
  return { ...run, choice: { plannedBytes: sum(run.regions), leftOutBytes: 0 } };
}

function skippedRun(run: FilesRun, skipped: string): FilesRun {
  return { ...run, skipped, choice: { plannedBytes: 0, leftOutBytes: sum(run.regions) } };
}

function expertsRun(
  run: FilesRun,
  { model }: RunSource,
  { selection, experts, verdict: { worth } }: ReturnType<typeof planExperts>,
): FilesRun {
  const regions = Array.from(slicesOf(selection), ({ tensor, file, offset, byteLength }) => {
    const { path = "", identity } = model.files[file] ?? {};
    return { path, identity, offset, byteLength, tensor, reason: "routed experts by the budget" };
  });
  const { bytes: plannedBytes, leftOutBytes } = selection;
  return { ...run, regions, isExact: true, choice: { plannedBytes, leftOutBytes, experts, worth } };
}

function coreRun(run: FilesRun, left: number, pageBytes: number) {
  const all = pageBytesOf(run.regions, pageBytes);
  const ordered = partsOf(run.regions).flatMap(({ regions }) => regions);
  const regions = all <= left ? run.regions : firstOf(ordered, left, pageBytes);
  const plannedBytes = sum(regions);
  const leftOutBytes = sum(run.regions) - plannedBytes;
  return {
    run: { ...run, regions, isExact: true, choice: { plannedBytes, leftOutBytes } },
    residentBytes: regions === run.regions ? all : pageBytesOf(regions, pageBytes),
    leftOutBytes,
  };
}

/** As many regions as fit, from the first on. Each is counted with the whole pages it touches. */
function firstOf(regions: readonly FileRegion[], left: number, pageBytes: number): FileRegion[] {
  let bytes = 0;
  return regions.filter(({ offset = 0, byteLength = 0 }) => {
    bytes += pagesOf({ offset, byteLength }, pageBytes).byteLength;
    return bytes <= left;
  });
}

/** Bytes of the whole pages that regions touch, each page counted once. */
function pageBytesOf(regions: readonly FileRegion[], pageBytes: number): number {
  const lists = new Map<string, RangeList>();
  for (const { path, offset = 0, byteLength = 0 } of regions) {
    const list = lists.get(path) ?? new RangeList();
    list.push(offset, byteLength);
    lists.set(path, list);
  }
  return [...lists.values()].reduce(
    (total, { words }) => total + mergePages(words, pageBytes).ranges.byteLength,
    0,
  );
}

function sum(regions: readonly FileRegion[]): number {
  return regions.reduce((total, { byteLength = 0 }) => total + byteLength, 0);
}

function exceeds(bytes: number, left: number, budgetBytes: number): string {
  const budget = `the budget of ${formatBytes(budgetBytes)}`;
  const most = left < budgetBytes ? `the ${formatBytes(left)} that are left of ${budget}` : budget;
  return `skipped: ${formatBytes(bytes)} exceed ${most}`;
}

function coreNote({ run, leftOutBytes }: ReturnType<typeof coreRun>): string {
  const gain =
    run.regions.length > 0 ? "so that only the first token gains" : "so that none of it is warmed";
  return `${formatBytes(leftOutBytes)} of what every token reads do not fit, ${gain}`;
}
