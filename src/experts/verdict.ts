import { formatBytes } from "../units.ts";
import { coverageOf, evenCoverage } from "./coverage.ts";
import type { Profile } from "./profile.ts";
import type { RoutedLayer } from "./routed-layers.ts";
import type { Budget, Selection } from "./select.ts";

/**
 * Whether it pays to fill experts within a budget.
 *
 * - `worth it`: everything fits, or ranking saves at least an eighth of what would be read.
 * - `worth little`: the selections are nearly flat.
 * - `core only`: the budget leaves less than one token's experts, so that they would evict one another.
 * - `unknown`: no profile, one without counts, or too few samples to tell skew from chance.
 */
export type Worth = "worth it" | "worth little" | "core only" | "unknown";

export interface Verdict {
  /** Share of the selections that the budget covers by the profile; `null` without counts. */
  readonly coverage: number | null;
  /** What as many bytes of any experts would cover: their share of all experts' bytes. */
  readonly unranked: number;
  /** What {@link coverage} would be if the router chose evenly; `null` without counts. */
  readonly uniform: number | null;
  /** Bytes of experts that one token reads in these layers; `null` where the model does not say. */
  readonly cycleBytes: number | null;
  readonly worth: Worth;
  /** The same for people. */
  readonly sentence: string;
}

/**
 * The least share that ranking has to save of what unranked bytes would leave to be read. Two runs of
 * one server on one machine differ by about a tenth: less than an eighth nobody would see.
 */
const WORTH_SAVING = 1 / 8;

export interface Judged {
  readonly layers: readonly RoutedLayer[];
  /** Fitted by `checkProfile`. */
  readonly profile: Profile | null;
  readonly budget: Budget;
  /** By `selectExperts` with the same profile and budget. */
  readonly selection: Selection;
  /** Experts that a token uses in each layer, see `expertsUsed`. */
  readonly used: number | null;
}

/** Says what a budget and a profile bring. The same input gives the same verdict. */
export function judge(judged: Judged): Verdict {
  const { layers, profile, selection, used } = judged;
  const { bytes, leftOutBytes } = selection;
  const isCounted = profile !== null && profile.samples !== 0;
  const shares = {
    coverage: isCounted ? coverageOf(selection.chosen, layers, profile.weights) : null,
    unranked: bytes + leftOutBytes === 0 ? 1 : bytes / (bytes + leftOutBytes),
    uniform: isCounted ? evenCoverage(layers, profile, bytes, used) : null,
    cycleBytes: used === null ? null : cycleBytes(layers, used),
  };
  return { ...shares, ...worthOf(judged, shares) };
}

/** One token's cycle: of each layer as many experts as a token uses. */
export function cycleBytes(layers: readonly RoutedLayer[], used: number): number {
  const bytes = layers.reduce(
    (sum, { byteLength, experts }) => sum + (byteLength * Math.min(used, experts)) / experts,
    0,
  );
  return Math.ceil(bytes);
}

function worthOf(
  { profile, budget, selection }: Judged,
  { coverage, unranked, uniform, cycleBytes: cycle }: Omit<Verdict, "worth" | "sentence">,
): { worth: Worth; sentence: string } {
  const room = budget.budgetBytes - budget.coreBytes;
  if (selection.leftOutBytes === 0) {
    return { worth: "worth it", sentence: "All routed experts fit into the budget." };
  }
  if (room < 0 || (cycle !== null && room < cycle)) {
    const left = `the budget leaves ${formatBytes(Math.max(room, 0))} for them after the core`;
    const needs = cycle === null ? "" : `one token reads ${formatBytes(cycle)} of experts, and `;
    const sentence = `Below one token's cycle: ${needs}${left}, so only the core is filled.`;
    return { worth: "core only", sentence };
  }
  const even = `${percent(unranked)} of the selections if the router chooses evenly`;
  if (coverage === null || uniform === null) {
    const why =
      profile === null
        ? "there is no profile to rank experts by"
        : "the profile has no counts to tell how much is covered";
    return { worth: "unknown", sentence: `Not known: ${why}; the budget covers ${even}.` };
  }
  const covers = `the budget covers ${percent(coverage)} of the selections`;
  const others = `${percent(unranked)} unranked, ${percent(uniform)} by an even router's chance`;
  const missed = Math.max(1 - unranked, Number.EPSILON);
  if ((coverage - uniform) / missed >= WORTH_SAVING) {
    return { worth: "worth it", sentence: `Worth it: ${covers} (${others}).` };
  }
  if ((uniform - unranked) / missed >= WORTH_SAVING) {
    const sentence = `Not known: ${covers} (${others}), and so few samples do not tell skew from chance.`;
    return { worth: "unknown", sentence };
  }
  return {
    worth: "worth little",
    sentence: `Worth little: ${covers} (${others}), so the use is nearly flat.`,
  };
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}
