import { asPrefaultError } from "../errors.ts";
import { type HeldRegions, lockRegions, RAISE_LIMIT } from "../hold/lock.ts";
import type { FilesRun } from "../target/run.ts";
import { fileRegions } from "../target/target.ts";
import { formatBytes } from "../units.ts";

/** Locks runs as far as the limit goes, and says how far that was. A lock that is refused leaves them warm. */
export async function holdRuns(
  runs: readonly FilesRun[],
  signal: AbortSignal,
  log: (line: string) => void,
): Promise<HeldRegions | null> {
  const regions = fileRegions(runs);
  if (regions.length === 0) return null;
  try {
    const held = await lockRegions(regions, { signal });
    const { lockedBytes, wantedBytes, why } = held;
    const all = `prefault: ${formatBytes(lockedBytes)} are locked`;
    log(why === null ? all : `${all} of ${formatBytes(wantedBytes)}: ${why}; ${RAISE_LIMIT}`);
    return held;
  } catch (error) {
    // What is stopped is stopped on purpose.
    if (!signal.aborted) log(`prefault: nothing is locked: ${asPrefaultError(error).message}`);
    return null;
  }
}
