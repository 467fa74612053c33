import type { SweepControl } from "../control/sweep-control.ts";
import type { SweepJob } from "./job.ts";

/** Ten times a second is often enough for a bar, and costs nothing. */
const PROGRESS_MS = 100;

/**
 * Reports how far a sweep is, until it is stopped; the first stop reports once more.
 *
 * @returns what stops it
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
