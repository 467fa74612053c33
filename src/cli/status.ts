import { orAbort } from "../left-behind.ts";
import { type FileResidency, type Residency, residency } from "../residency/residency.ts";
import type { Target } from "../target.ts";
import { formatBytes, sumKnown } from "../units.ts";
import type { Flags } from "./flags.ts";
import { openOperands, requireOperands } from "./operands.ts";
import type { Paint } from "./paint.ts";
import { hasPlacement, type PlacementFlags, planOperands } from "./placement-flags.ts";
import { drawMap, LEGEND } from "./residency-map.ts";
import type { Result } from "./result.ts";
import { tensorLines } from "./tensor-map.ts";
import { percent, printable } from "./text.ts";

/** `prefault status`: what is resident now. */
export async function status(
  files: readonly string[],
  flags: Flags & PlacementFlags,
  signal: AbortSignal,
): Promise<Result> {
  const operands = requireOperands(files, flags);
  const isPlaced = hasPlacement(flags);
  const found = await orAbort(signal, lookAt(operands, flags, signal));
  const document: Residency = {
    bytes: found.reduce((sum, each) => sum + each.bytes, 0),
    residentBytes: sumKnown(found.map((each) => each.residentBytes)),
    files: found.flatMap((each) => each.files),
    tensors: found.flatMap((each) => each.tensors),
  };
  const text = (paint: Paint) => {
    const models = found.map((each) => describe(each, isPlaced, paint)).join("\n\n");
    return flags.quiet ? models : `${models}\n\n${paint("dim", footnote(document))}`;
  };
  return { document, text };
}

/** One model at a time: two models may have tensors of the same names. */
async function lookAt(
  operands: readonly string[],
  flags: Flags & PlacementFlags,
  signal: AbortSignal,
): Promise<Residency[]> {
  const targets: readonly Target[] = hasPlacement(flags)
    ? (await planOperands(operands, flags, signal)).plans
    : await openOperands(operands);
  const found: Residency[] = [];
  for (const target of targets) found.push(await residency(target));
  return found;
}

function describe({ files, tensors }: Residency, isPlaced: boolean, paint: Paint): string {
  const lines = files.flatMap((file) => fileLines(file, isPlaced, paint));
  // A file of no known format is a single tensor, and has been drawn.
  if (isPlaced || tensors.length > 1) lines.push("", ...tensorLines(tensors, paint));
  return lines.join("\n");
}

function fileLines(file: FileResidency, isPlaced: boolean, paint: Paint): string[] {
  const { path, bytes, residentBytes, map } = file;
  const what = isPlaced ? "that stay on the CPU" : "";
  const share =
    residentBytes === null
      ? "the system does not say how much is resident"
      : `${percent(residentBytes, bytes)} resident`;
  const head = [`${printable(path)}: ${formatBytes(bytes)}`, what].filter(Boolean).join(" ");
  const drawn = map === null ? [] : [`  ${drawMap(map, paint)}${isPlaced ? "  whole file" : ""}`];
  return [`${paint("bold", head)}, ${share}`, ...drawn];
}

function footnote({ residentBytes }: Residency): string {
  if (residentBytes !== null) return LEGEND;
  return "Unknown: the system does not say (Linux tells the owner of a file, and who may write it).";
}
