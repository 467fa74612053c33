import type { SweepControl } from "../control/sweep-control.ts";
import type { SweepJob } from "./job.ts";

/** Ten times a second is enough for a progress bar. */
const PROGRESS_MS = 100;

/**
 * Reports the progress of a sweep ten times a second, and once more at the end.
 *
 * @returns ends the reports; may be called repeatedly
 */
export function reportProgress(job: SweepJob, control: SweepControl): () => void {
  const { onProgress } = job;
  if (onProgress === undefined) return () => {};
  const bytesTotal = job.chunks.byteLength;
  const report = () => onProgress({ bytesDone: control.progress, bytesTotal });
  const timer = setInterval(report, PROGRESS_MS);
  let stopped = false;
  return () => {
    if (stopped) return;
    stopped = true;
    clearInterval(timer);
    report();
  };
}
