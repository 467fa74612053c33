import { FileSet } from "../file/file-set.ts";
import type { ResolvedOptions } from "../options.ts";
import { executeTarget } from "../run/prefault.ts";
import type { PrefaultReport } from "../run/report.ts";
import type { FilesRun, Run } from "../target/run.ts";

/** Fills runs as they were filled before: nothing is planned anew, and no room is made. Never rejects. */
export function fillAgain(
  runs: readonly FilesRun[],
  options: ResolvedOptions,
): Promise<PrefaultReport[]> {
  const files = new FileSet();
  const known = { models: [], failures: [], notes: [], verdicts: [], budgetBytes: null };
  return executeTarget({ ...known, runs: reopened(runs, files) }, options, files);
}

/** The same runs for another reading. What they leave to others was watched at the first. */
export function reopened(runs: readonly Run[], files: FileSet): readonly Run[] {
  return runs.map((run) => {
    if (run.kind !== "files") return run;
    const { reserve: _, ...rest } = run;
    return { ...rest, files };
  });
}
