import { loadShim } from "../../shims/index.ts";
import type { Verdict } from "../experts/verdict.ts";
import type { Model } from "../model/model.ts";
import { resolveOptions } from "../options.ts";
import type { Elsewhere, ModelPlan } from "../passes/index.ts";
import type { FileRegion } from "../plan/region.ts";
import { type ArrangedTarget, arrange } from "../run/arrange.ts";
import type { RunChoice } from "../target/run.ts";
import { isPlaceable, type ResolvedTarget, resolveTarget } from "../target/target.ts";
import { formatBytes } from "../units.ts";
import { budgetOptions } from "./budget.ts";
import type { Flags } from "./flags.ts";
import { bytesOf, type Part } from "./plan-parts.ts";

/** Parts with one fate, under one heading. */
export interface Section {
  readonly title: string;
  readonly isWarmed: boolean;
  readonly parts: readonly Part[];
}

/** What would happen to one model. */
export interface PlannedModel {
  readonly files: readonly string[];
  readonly pass: string | null;
  readonly sections: readonly Section[];
  readonly runs: readonly PlannedRun[];
  readonly elsewhere: readonly (Part & { readonly place: Elsewhere })[];
  readonly notes: readonly string[];
  readonly verdict: Verdict | null;
  readonly budgetBytes: number | null;
}

/** A run, and what of it a budget has room for. */
export interface PlannedRun extends Partial<RunChoice> {
  readonly name: string;
  readonly label: string;
  readonly gate: string;
  readonly bytes: number;
  readonly regions: number;
}

/** What memory or a budget leaves of each model, and what it brings; several models share one budget. */
export async function fitted(
  planned: readonly PlannedModel[],
  targets: readonly (Model | ModelPlan)[],
  flags: Flags,
  signal: AbortSignal,
): Promise<PlannedModel[]> {
  const options = resolveOptions({ ...(await budgetOptions(flags)), gate: flags.gate, signal });
  const resolved = await Promise.all(targets.map((target) => resolveTarget(target, { signal })));
  const shim = await loadShim();
  if (options.budget === undefined) {
    const arranged = await Promise.all(resolved.map((each) => arrange(each, options, shim)));
    return planned.map((model, index) => withNotes(model, arranged[index]?.notes ?? []));
  }
  const whole = await arrange(together(resolved), options, shim);
  const known = new Set(planned.flatMap(({ notes }) => notes));
  const own = targets.map((target) => ("model" in target ? target.model : target));
  // What is said of the budget as a whole is said where the model itself is shown.
  const main = Math.max(0, own.findIndex(isPlaceable));
  return planned.map((model, index) => {
    const runs = whole.runs.filter(
      (run) => run.kind === "files" && run.source?.model === own[index],
    );
    const fits = withinBudget(model, { ...whole, runs });
    if (index !== main) return fits;
    const notes = whole.notes.filter((note) => !known.has(note));
    return { ...withNotes(fits, notes), verdict: whole.verdicts[0] ?? null };
  });
}

function together(targets: readonly ResolvedTarget[]): ResolvedTarget {
  return {
    models: targets.flatMap(({ models }) => models),
    runs: targets.flatMap(({ runs }) => runs),
    failures: targets.flatMap(({ failures }) => failures),
    notes: targets.flatMap(({ notes }) => notes),
  };
}

function withNotes(model: PlannedModel, notes: readonly string[]): PlannedModel {
  return { ...model, notes: [...new Set([...model.notes, ...notes])] };
}

function withinBudget(model: PlannedModel, { runs, budgetBytes }: ArrangedTarget): PlannedModel {
  const kept = model.sections.filter(({ isWarmed }) => !isWarmed);
  const filled = runs.flatMap((run) => (run.kind === "files" ? [run] : []));
  const leftOut = filled.reduce((sum, { choice }) => sum + (choice?.leftOutBytes ?? 0), 0);
  const warmed = filled.filter(({ skipped }) => skipped === undefined);
  const sections = warmed.map(({ name = "core", regions }) => ({
    title: `is warmed within ${formatBytes(budgetBytes ?? 0)} (${name})`,
    isWarmed: true,
    parts: regions.map(regionPart),
  }));
  const rest = { tensor: null, file: model.files[0] ?? "", offset: 0, byteLength: leftOut };
  const missing = {
    title: "does not fit the budget",
    isWarmed: false,
    parts: leftOut === 0 ? [] : [{ ...rest, reason: "left out" }],
  };
  return {
    ...model,
    sections: [...sections, missing, ...kept].filter(({ parts }) => parts.length > 0),
    runs: filled.map(({ name = "core", label = name, gate = "fits-in-free-ram", ...run }) => ({
      name,
      label,
      gate,
      bytes: bytesOf(run.regions.map(regionPart)),
      regions: run.regions.length,
      ...run.choice,
    })),
    budgetBytes,
  };
}

function regionPart(region: FileRegion): Part {
  const { tensor = null, path, offset = 0, byteLength = 0, reason = "" } = region;
  return { tensor, file: path, offset, byteLength, reason };
}
