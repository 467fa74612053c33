import type { FailedPath } from "../../model/open-models.ts";
import type { Target } from "../../target/target.ts";
import type { Flags } from "../flags.ts";
import { operandsOf } from "../mapped-operands.ts";
import { hasPlacement, type PlacementFlags } from "../placement-flags.ts";
import { planOperands } from "../plan-operands.ts";

/** What is to be kept, and what of it could not be opened. */
export interface KeepTarget {
  readonly target: Target;
  readonly failures: readonly FailedPath[];
  readonly notes: readonly string[];
}

/**
 * The files that were given and those that a process has mapped: planned where there is a placement, else as
 * whole files.
 *
 * @throws {@link PrefaultError} as {@link planOperands} and {@link operandsOf}
 */
export async function keepTarget(
  files: readonly string[],
  flags: Flags & PlacementFlags,
  signal: AbortSignal,
): Promise<KeepTarget> {
  const { operands, notes } = await operandsOf(files, flags);
  if (!hasPlacement(flags)) return { target: operands, failures: [], notes };
  const planned = await planOperands(operands, flags, signal);
  const { plans: target, failures } = planned;
  return { target, failures, notes: [...notes, ...planned.notes] };
}
