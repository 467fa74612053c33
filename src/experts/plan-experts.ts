import type { Model, Tensor } from "../model/model.ts";
import { expertsUsed } from "./counts.ts";
import type { Profile } from "./profile.ts";
import { type Budget, type Selection, selectExperts } from "./select.ts";
import { expertSlices } from "./slices.ts";
import { judge, type Verdict } from "./verdict.ts";

export interface ExpertPlan {
  /** What is to be filled. Nothing when the verdict says `core only`. */
  readonly selection: Selection;
  readonly verdict: Verdict;
  /** For the report. */
  readonly experts: ExpertCounts;
}

/** How many routed experts are filled, and what they are good for. */
export interface ExpertCounts {
  /** Experts in all layers. */
  readonly total: number;
  /** Those that are filled whole. */
  readonly whole: number;
  /** Share of the selections that they cover by the profile; `null` without counts. */
  readonly coverage: number | null;
}

/**
 * Plans the routed experts of a model within a budget, and follows the verdict: below one token's
 * cycle none of them is filled.
 *
 * @param tensors - the routed experts that stay on the CPU. @defaultValue those of the whole model
 * @param profile - fitted by `checkProfile`, or `null`
 * @throws {@link PrefaultError} `PREFAULT_INVALID_MODEL`, `PREFAULT_INVALID_OPTION`
 */
export function planExperts(
  model: Model,
  profile: Profile | null,
  budget: Budget,
  tensors: readonly Tensor[] = model.tensors,
): ExpertPlan {
  const { layers } = expertSlices(model, tensors);
  const wanted = selectExperts(layers, profile, budget);
  const verdict = judge({ layers, profile, budget, selection: wanted, used: expertsUsed(model) });
  const isNone = verdict.worth === "core only";
  const selection = isNone ? withoutAny(wanted) : wanted;
  const coverage = isNone && verdict.coverage !== null ? 0 : verdict.coverage;
  const experts = { total: wanted.total, whole: selection.chosen.length, coverage };
  return { selection, verdict, experts };
}

function withoutAny({ total, bytes, leftOutBytes }: Selection): Selection {
  return { chosen: [], bytes: 0, residentBytes: 0, leftOutBytes: bytes + leftOutBytes, total };
}
