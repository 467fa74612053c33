import { isMissing, isUntold } from "../../keep/kept-run.ts";
import type { KeptState } from "../../keep/kept-set.ts";
import type { PrefaultReport } from "../../run/report.ts";
import { formatBytes, sumKnown } from "../../units.ts";

/** What is known of what is kept. */
export interface KeepView {
  /** Of the first fill; `null` before its end. */
  readonly report: PrefaultReport | null;
  /** At the last look; `null` before the first. */
  readonly state: KeptState | null;
  /** Why nothing is warmed: the kill switch; `null` when it does not say so. */
  readonly disabled: string | null;
}

/** The answer to a readiness probe. */
export interface Readiness {
  readonly isReady: boolean;
  /** One line for a person. */
  readonly why: string;
}

/** Whether all that is wanted is resident now; what the system does not tell counts as filled. */
export function isWarm({ report, state }: KeepView): boolean {
  if (state === null || state.runs.length === 0) return false;
  const isWhole = report !== null && (report.error === undefined || state.refills > 0);
  const isFilled = !state.runs.some(isUntold) || state.refillError === null;
  return isWhole && isFilled && !state.runs.some(isMissing);
}

/**
 * Tells when what is kept has been warm. From then on it stays ready: what is pushed out later is filled again,
 * and a server that is slower for a while is better than none.
 */
export class ReadinessProbe {
  #wasWarm = false;

  ask(view: KeepView): Readiness {
    const { report, disabled } = view;
    if (disabled !== null) return { isReady: true, why: `nothing is to be warmed: ${disabled}` };
    if (report === null) return { isReady: false, why: "it is being filled" };
    if (isWarm(view)) {
      this.#wasWarm = true;
      return { isReady: true, why: `warm: ${residentOf(view)}` };
    }
    if (this.#wasWarm)
      return { isReady: true, why: `was warm, and will be again: ${residentOf(view)}` };
    if (isNothing(report))
      return { isReady: true, why: "nothing is to be warmed: no byte of it stays on the CPU" };
    const { state } = view;
    const why = state === null || state.runs.length === 0 ? report.reason : residentOf(view);
    return { isReady: false, why: `not warm: ${report.error?.message ?? why}` };
  }
}

/** A plan that leaves nothing on the CPU. */
function isNothing({ ran, error, bytes }: PrefaultReport): boolean {
  return !ran && error === undefined && bytes === 0;
}

function residentOf({ state }: KeepView): string {
  const runs = state?.runs ?? [];
  const wanted = formatBytes(runs.reduce((sum, { wantedBytes }) => sum + wantedBytes, 0));
  const resident = sumKnown(runs.map(({ residentBytes }) => residentBytes));
  if (resident === null) return `${wanted} were filled; the system does not say what is resident`;
  return `${formatBytes(resident)} of ${wanted} are resident`;
}
