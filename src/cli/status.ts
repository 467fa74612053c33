import { abortable } from "../abortable.ts";
import { checkProfile } from "../experts/check-profile.ts";
import type { Profile } from "../experts/profile.ts";
import { readProfile } from "../experts/read-profile.ts";
import type { Model, Tensor } from "../model/model.ts";
import { type FailedPath, openModels } from "../model/open-models.ts";
import type { ModelPlan } from "../passes/index.ts";
import { ExpertWatch, type LayerResidency } from "../residency/expert-residency.ts";
import { type FileResidency, type Residency, residency } from "../residency/residency.ts";
import { unopened } from "../target/failure-report.ts";
import { formatBytes, sumKnown } from "../units.ts";
import { expertLines, expertRow } from "./expert-map.ts";
import type { Flags } from "./flags.ts";
import { operandsOf } from "./mapped-operands.ts";
import type { Paint } from "./paint.ts";
import { hasPlacement, type PlacementFlags } from "./placement-flags.ts";
import { planOperands } from "./plan-operands.ts";
import { drawMap, LEGEND } from "./residency-map.ts";
import type { Result } from "./result.ts";
import { tensorLines } from "./tensor-map.ts";
import { percent, printable, UNTOLD } from "./text.ts";

/** `prefault status`: what is resident now. */
export async function status(
  files: readonly string[],
  flags: Flags & PlacementFlags,
  signal: AbortSignal,
): Promise<Result> {
  const { operands, notes: said } = await operandsOf(files, flags);
  const isPlaced = hasPlacement(flags);
  const looked = await abortable(signal, lookAt(operands, flags, signal));
  const { found, failures } = looked;
  const notes = [...said, ...looked.notes];
  const document = {
    bytes: found.reduce((sum, each) => sum + each.bytes, 0),
    residentBytes: sumKnown(found.map((each) => each.residentBytes)),
    files: found.flatMap((each) => each.files),
    tensors: found.flatMap((each) => each.tensors),
    experts: found.flatMap((each) => each.experts.map(expertRow)),
    failures: failures.map(unopened),
    notes,
  };
  const text = (paint: Paint) => {
    const models = found.map((each) => describe(each, isPlaced, paint)).join("\n\n");
    return flags.quiet || models === ""
      ? models
      : `${models}\n\n${paint("dim", footnote(document))}`;
  };
  return { document, text, failures: document.failures, notes: flags.quiet ? [] : notes };
}

/** What is resident of one model, its routed experts one by one. */
interface Look extends Residency {
  readonly experts: readonly LayerResidency[];
  /** Ranks the experts of a layer; `null` without one. */
  readonly profile: Profile | null;
}

interface Found {
  readonly found: readonly Look[];
  readonly failures: readonly FailedPath[];
  readonly notes: readonly string[];
}

/** One model at a time: two models may have tensors of the same names. */
async function lookAt(
  operands: readonly string[],
  flags: Flags & PlacementFlags,
  signal: AbortSignal,
): Promise<Found> {
  const { targets, failures, notes } = hasPlacement(flags)
    ? await plansOf(operands, flags, signal)
    : await modelsOf(operands, signal);
  const given = flags.profile === undefined ? null : await readProfile(flags.profile, { signal });
  const found: Look[] = [];
  for (const target of targets) {
    const seen = await residency(target, { signal });
    const { model, tensors } = partsOfTarget(target);
    await using watch = await ExpertWatch.open(model, tensors, signal);
    const experts = watch.layers.length === 0 ? [] : ((await watch.look()) ?? []);
    const profile = given === null || experts.length === 0 ? null : checkProfile(given, model);
    found.push({ ...seen, experts, profile });
  }
  return { found, failures, notes: [...notes, ...found.flatMap((each) => each.notes)] };
}

function partsOfTarget(target: Model | ModelPlan): { model: Model; tensors: readonly Tensor[] } {
  if (!("runs" in target)) return { model: target, tensors: target.tensors };
  const tensors = target.runs.flatMap(({ regions }) => regions.map(({ tensor }) => tensor));
  return { model: target.model, tensors };
}

async function plansOf(operands: readonly string[], flags: PlacementFlags, signal: AbortSignal) {
  const { plans, ...others } = await planOperands(operands, flags, signal);
  return { targets: plans, ...others };
}

/** A damaged model is looked at as the bytes it is. */
async function modelsOf(operands: readonly string[], signal: AbortSignal) {
  const { models, ...others } = await openModels(operands, { asBytes: true, signal });
  return { targets: models, ...others };
}

function describe(
  { files, tensors, experts, profile }: Look,
  isPlaced: boolean,
  paint: Paint,
): string {
  const lines = files.flatMap((file) => fileLines(file, isPlaced, paint));
  // A file of no known format is a single tensor, and has been drawn.
  if (isPlaced || tensors.length > 1) lines.push("", ...tensorLines(tensors, paint));
  if (experts.length > 0) lines.push("", ...expertLines(experts, profile, paint));
  return lines.join("\n");
}

function fileLines(file: FileResidency, isPlaced: boolean, paint: Paint): string[] {
  const { path, bytes, residentBytes, map } = file;
  const what = isPlaced ? "that stay on the CPU" : "";
  const share =
    residentBytes === null ? "residency unknown" : `${percent(residentBytes, bytes)} resident`;
  const head = [`${printable(path)}: ${formatBytes(bytes)}`, what].filter(Boolean).join(" ");
  const drawn = map === null ? [] : [`  ${drawMap(map, paint)}${isPlaced ? "  whole file" : ""}`];
  return [`${paint("bold", head)}, ${share}`, ...drawn];
}

function footnote({ residentBytes }: Pick<Residency, "residentBytes">): string {
  if (residentBytes !== null) return LEGEND;
  return `Unknown: ${UNTOLD}.`;
}
