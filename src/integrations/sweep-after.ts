import { loadShim } from "../../shims/index.ts";
import { asPrefaultError } from "../errors.ts";
import { crowds, dropElsewhere } from "../hold/drop-elsewhere.ts";
import { fillBeside } from "../keep/fill-beside.ts";
import { mapFilled } from "../keep/map-filled.ts";
import type { ModelPlan } from "../passes/index.ts";
import type { NodeLlamaCppModel } from "../passes/llama/node-llama-cpp.ts";
import { reporting } from "../run/prefault.ts";
import { emptyReport, type PrefaultReport } from "../run/report.ts";
import {
  describedBy,
  planForLoaded,
  type SweepOptions,
  type SweepSubject,
} from "./load-subject.ts";

/**
 * Fills what this process has loaded, as far as it fits, and maps it where the engine did. What went to the GPU
 * makes room first.
 */
export async function sweepAfter(
  loading: Promise<unknown>,
  subject: SweepSubject,
  expected: ModelPlan | undefined,
  how: SweepOptions,
): Promise<PrefaultReport> {
  let loaded: NodeLlamaCppModel;
  try {
    loaded = describedBy(await loading);
  } catch (error) {
    return reporting({ ...how, signal: AbortSignal.abort(error) }, async () => []);
  }
  return reporting(how, async (options) => {
    if (loaded.useMmap === false) return [emptyReport(how.label, "skipped: the load made a copy")];
    const actual = await planForLoaded(loaded, subject, expected);
    if (actual instanceof Error) throw actual;
    const plan = actual ?? expected;
    if (plan !== undefined) await dropCopied(plan, how);
    const task = { target: plan ?? subject.modelPath, options, reader: process.pid };
    const { reports, runs } = await fillBeside(task, how.log);
    // Without this the engine takes the faults itself.
    await mapFilled(runs, options).catch(() => {});
    return reports;
  });
}

/** What goes wrong here leaves less room, and no more. */
async function dropCopied(plan: ModelPlan, { signal, log }: SweepOptions): Promise<void> {
  try {
    if (crowds([plan], await loadShim())) await dropElsewhere([plan], log, signal);
  } catch (error) {
    if (signal.aborted) throw error;
    log(`prefault: ${asPrefaultError(error).message}`);
  }
}
