import { loadShim } from "../../shims/index.ts";
import { abortable } from "../abortable.ts";
import type { Verdict } from "../experts/verdict.ts";
import type { Model } from "../model/model.ts";
import { type FailedPath, openModels } from "../model/open-models.ts";
import { resolveOptions } from "../options.ts";
import type { Elsewhere, ModelPlan } from "../passes/index.ts";
import type { FileRegion } from "../plan/region.ts";
import { type ArrangedTarget, arrange } from "../run/arrange.ts";
import { unopened } from "../target/failure-report.ts";
import type { RunChoice } from "../target/run.ts";
import { isPlaceable, type ResolvedTarget, resolveTarget } from "../target/target.ts";
import { formatBytes } from "../units.ts";
import { budgetOptions } from "./budget.ts";
import type { Flags } from "./flags.ts";
import { requireOperands } from "./operands.ts";
import type { Paint } from "./paint.ts";
import { hasPlacement, type PlacementFlags } from "./placement-flags.ts";
import { planOperands } from "./plan-operands.ts";
import { type Part, tensorPart, wholeFileParts } from "./plan-parts.ts";
import { groupRow, groupRows } from "./plan-table.ts";
import type { Result } from "./result.ts";
import { columns, plural, printable } from "./text.ts";

/** Parts with one fate, under one heading. */
interface Section {
  readonly title: string;
  readonly isWarmed: boolean;
  readonly parts: readonly Part[];
}

/** What would happen to one model. */
interface PlannedModel {
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
interface PlannedRun extends Partial<RunChoice> {
  readonly name: string;
  readonly label: string;
  readonly gate: string;
  readonly bytes: number;
  readonly regions: number;
}

const PLACES: Readonly<Record<Elsewhere, string>> = {
  gpu: "goes to the GPU",
  copied: "is copied into private memory at load",
  lazy: "is read a few rows at a time",
  unused: "is not read",
};

/** `prefault plan`: what would be warmed, and why. */
export async function plan(
  files: readonly string[],
  flags: Flags & PlacementFlags,
  signal: AbortSignal,
): Promise<Result> {
  const operands = requireOperands(files, flags);
  const { models, failures, notes } = await abortable(signal, planModels(operands, flags, signal));
  const warmed = models.flatMap(({ sections }) =>
    sections.filter((each) => each.isWarmed).flatMap((each) => each.parts),
  );
  const document = {
    totalBytes: bytesOf(warmed),
    regions: warmed,
    pass: models[0]?.pass ?? null,
    runs: models.flatMap((model) => model.runs),
    elsewhere: models.flatMap((model) => model.elsewhere),
    budgetBytes: models[0]?.budgetBytes ?? null,
    verdict: models.find(({ verdict }) => verdict !== null)?.verdict ?? null,
    notes: [...notes, ...models.flatMap((model) => model.notes)],
    failures: failures.map(unopened),
  };
  const text = (paint: Paint) =>
    models.map((model) => describe(model, paint, flags.quiet === true)).join("\n\n");
  return { document, text, failures: document.failures, notes: flags.quiet ? [] : notes };
}

interface PlannedSet {
  readonly models: readonly PlannedModel[];
  readonly failures: readonly FailedPath[];
  readonly notes: readonly string[];
}

async function planModels(
  operands: readonly string[],
  flags: Flags & PlacementFlags,
  signal: AbortSignal,
): Promise<PlannedSet> {
  if (hasPlacement(flags)) {
    const { plans, ...others } = await planOperands(operands, flags, signal);
    const models = plans.map(placed);
    return { models: await fitted(models, plans, flags, signal), ...others };
  }
  const { models, ...others } = await openModels(operands, { signal });
  return { models: await fitted(models.map(unplaced), models, flags, signal), ...others };
}

/** What memory or a budget leaves of each model, and what it brings; several models share one budget. */
async function fitted(
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

function unplaced(model: Model): PlannedModel {
  const title = "is warmed: without placement, every byte";
  return {
    files: model.files.map(({ path }) => path),
    pass: null,
    sections: [{ title, isWarmed: true, parts: wholeFileParts(model) }],
    runs: [],
    elsewhere: [],
    notes: model.notes ?? [],
    verdict: null,
    budgetBytes: null,
  };
}

function placed({ model, pass, runs, elsewhere, notes }: ModelPlan): PlannedModel {
  const isOnly = runs.length === 1;
  const warmed = runs.map(({ name, label, gate, regions }) => ({
    name,
    title: `stays on the CPU and is warmed${isOnly ? "" : ` (${label}, gate ${gate})`}`,
    label,
    gate,
    isWarmed: true,
    parts: regions.map(({ tensor, reason }) => tensorPart(model, tensor, reason)),
  }));
  const others = elsewhere.map(({ tensor, place, reason }) => {
    return { ...tensorPart(model, tensor, reason), place };
  });
  const places = Object.keys(PLACES) as Elsewhere[];
  const rest = places.map((place) => ({
    title: PLACES[place],
    isWarmed: false,
    parts: others.filter((part) => part.place === place),
  }));
  return {
    files: model.files.map(({ path }) => path),
    pass,
    sections: [...warmed, ...rest.filter(({ parts }) => parts.length > 0)],
    runs: warmed.map(({ name, label, gate, parts }) => {
      return { name, label, gate, bytes: bytesOf(parts), regions: parts.length };
    }),
    elsewhere: others,
    notes,
    verdict: null,
    budgetBytes: null,
  };
}

function describe(model: PlannedModel, paint: Paint, quiet: boolean): string {
  const { files, pass, sections, notes } = model;
  const all = sections.flatMap(({ parts }) => parts);
  const wholeBytes = bytesOf(all);
  const blocks = sections.map(({ title, parts }) => ({
    title,
    rows: groupRows(parts, wholeBytes),
  }));
  const warmed = sections.filter((each) => each.isWarmed).flatMap((each) => each.parts);
  const rows = [
    ...blocks.flatMap(({ rows }) => rows),
    groupRow("would be warmed", warmed, wholeBytes),
  ];
  // All sections are laid out as one table, so that their columns are in line.
  const lines = columns(rows, 4);
  const total = lines.pop() ?? "";
  const table = blocks.flatMap(({ title, rows }) => [
    paint("bold", title),
    ...lines.splice(0, rows.length),
  ]);
  const more = files.length > 1 ? ` and ${plural(files.length - 1, "more file")}` : "";
  const by = pass === null ? "" : `, placed by the rules of ${pass}`;
  return [
    paint("bold", `${printable(files[0] ?? "")}${more}: ${formatBytes(wholeBytes)}${by}`),
    "",
    ...table,
    "",
    paint("bold", total),
    ...(quiet ? [] : notes.map((note) => paint("dim", `Note: ${printable(note)}.`))),
  ].join("\n");
}

function bytesOf(parts: readonly Part[]): number {
  return parts.reduce((sum, part) => sum + part.byteLength, 0);
}
