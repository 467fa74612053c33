import { loadShim } from "../../shims/index.ts";
import type { FileSet } from "../file/file-set.ts";
import type { ResolvedOptions } from "../options.ts";
import { planRegions } from "../plan/plan.ts";
import { residentBytesOfEach } from "../residency/count.ts";
import type { ArrangedTarget } from "../run/arrange.ts";
import { isExperts } from "../run/choose.ts";
import type { Run, RunSource } from "../target/run.ts";
import { tensorRegion } from "../target/target.ts";
import { sumKnown } from "../units.ts";

/**
 * Skips experts where as many bytes of others are resident already, as after an engine has read its model, and no
 * profile says that those in their place are used more often: filling would cost its seconds and gain nothing.
 *
 * @param files open, and left open
 */
export async function withoutUnranked(
  arranged: ArrangedTarget,
  { profile, signal }: ResolvedOptions,
  files: FileSet,
): Promise<ArrangedTarget> {
  const runs = arranged.runs.map(async (run): Promise<Run> => {
    const why = whyUnranked(run, profile);
    if (why === undefined || run.kind !== "files" || run.source === undefined) return run;
    const resident = await residentOf(run.source, files, signal);
    if (resident === null || resident < (run.choice?.plannedBytes ?? 0)) return run;
    return { ...run, skipped: `skipped: ${why}, and as many others are resident` };
  });
  return { ...arranged, runs: await Promise.all(runs) };
}

/** Why those of the experts that a budget chose are used no more often than others; `undefined` where they are. */
export function whyUnranked(run: Run, profile: ResolvedOptions["profile"]): string | undefined {
  if (!isExperts(run) || run.skipped !== undefined) return undefined;
  const { worth, leftOutBytes = 0, experts } = run.choice ?? {};
  if (leftOutBytes === 0) return undefined;
  if (profile === undefined) return "no profile ranks the experts";
  if (worth === "worth little") return "all experts are used about equally often";
  // A snapshot has no counts, and ranks them all the same.
  const isCounted = experts?.coverage !== null;
  return worth === "unknown" && isCounted ? "the profile has too few samples to rank" : undefined;
}

/** Bytes of a model's tensors that are resident; `null` where the system does not say. */
async function residentOf(
  { model, tensors }: RunSource,
  files: FileSet,
  signal: AbortSignal | undefined,
): Promise<number | null> {
  const shim = await loadShim();
  const regions = tensors.map((tensor) => tensorRegion(model, tensor));
  const plan = await planRegions(regions, shim, files);
  try {
    return sumKnown(await residentBytesOfEach(shim, plan.files, signal));
  } finally {
    await plan.close();
  }
}
