import type { PrefaultReport } from "prefault";
import type { ReportView, RunView, Status } from "../ipc.ts";

/** A sweep's report as the window shows it. */
export function outcome(report: PrefaultReport): Status {
  const { error, ran, reason, bytes, seconds } = report;
  if (error?.code === "PREFAULT_ABORTED") return { state: "stopped" };
  if (error !== undefined) return { state: "failed", code: error.code, message: error.message };
  if (!ran) return { state: "skipped", reason, bytes };
  const { residentBytesBefore: residentBefore, residentBytesAfter: residentAfter } = report;
  return { state: "done", bytes, seconds, residentBefore, residentAfter };
}

/** Its runs one by one. What is no model of a known engine has none. */
export function reportView({ runs = [], notes }: PrefaultReport): ReportView {
  return { runs: runs.flatMap(runView), notes };
}

function runView(run: PrefaultReport): RunView[] {
  const { name, ran, reason, bytes, residentBytesAfter } = run;
  if (name === undefined) return [];
  const { plannedBytes = bytes, leftOutBytes = 0 } = run;
  // Pages are whole, so that a little more is resident than was asked for.
  const residentBytes =
    residentBytesAfter === null ? null : Math.min(residentBytesAfter, plannedBytes);
  // The library's reason for a run without bytes is of a model that has none.
  const why = plannedBytes === 0 && leftOutBytes > 0 ? "the budget has no room for it" : reason;
  return [{ name, plannedBytes, leftOutBytes, residentBytes, skipped: ran ? null : why }];
}
