import { readProfile } from "../experts/read-profile.ts";
import type { ResolvedOptions } from "../options.ts";
import type { Filled } from "./fill-beside.ts";

/** The same set each time, whatever is available then. */
export function likeBefore(
  options: ResolvedOptions,
  { runs, budgetBytes }: Filled,
): ResolvedOptions {
  return runs.length === 0 ? options : { ...options, budget: budgetBytes ?? options.budget };
}

/** With the profile as it is now: it may be written anew while the set is kept. */
export async function withProfile(options: ResolvedOptions): Promise<ResolvedOptions> {
  const { profile, signal } = options;
  return typeof profile === "string"
    ? { ...options, profile: await readProfile(profile, { signal }) }
    : options;
}

/** A budget divides what fits from what does not; without one, what was skipped fits with the rest or not. */
export function awaitedBytes({ reports, budgetBytes }: Filled): number {
  const isSkipped = reports.some(({ ran, error, bytes }) => !ran && !error && bytes > 0);
  if (!isSkipped || budgetBytes !== null) return 0;
  return reports.reduce((sum, { bytes }) => sum + bytes, 0);
}
