import { abortable } from "../abortable.ts";
import type { Model } from "../model/model.ts";
import { type FailedPath, openModels } from "../model/open-models.ts";
import type { Elsewhere, ModelPlan } from "../passes/index.ts";
import { unopened } from "../target/failure-report.ts";
import { formatBytes } from "../units.ts";
import type { Flags } from "./flags.ts";
import { requireOperands } from "./operands.ts";
import type { Paint } from "./paint.ts";
import { hasPlacement, type PlacementFlags } from "./placement-flags.ts";
import { fitted, type PlannedModel } from "./plan-budget.ts";
import { planOperands } from "./plan-operands.ts";
import { bytesOf, tensorPart, wholeFileParts } from "./plan-parts.ts";
import { groupRow, groupRows } from "./plan-table.ts";
import type { Result } from "./result.ts";
import { columns, plural, printable } from "./text.ts";

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
