import type { Status } from "../ipc.ts";
import { formatBytes, percent, sentence } from "./text.ts";

export interface StatusText {
  readonly title: string;
  readonly detail: string;
  readonly message: string;
  /** From 0 to 1; `null` while nobody knows. */
  readonly progress: number | null;
}

/** A status in words. */
export function describe(status: Status): StatusText {
  const none = { detail: "", message: "", progress: 0 };
  switch (status.state) {
    case "idle":
      return { ...none, title: "Ready" };
    case "opening":
      return { ...none, title: "Reading the header…", progress: null };
    case "warming":
      return { ...none, title: "Warming…", ...warming(status) };
    case "done":
      return { ...none, title: "Resident", ...done(status) };
    case "skipped":
      return {
        ...none,
        title: "Skipped: it would not fit",
        detail: formatBytes(status.bytes),
        message: `${sentence(status.reason.replace(/^skipped: /, ""))} Nothing was read. Warming it would push out what is in use, the model's own first pages included.`,
      };
    case "stopped":
      return { ...none, title: "Stopped", message: "What was read so far stays in memory." };
    case "failed":
      return { ...none, title: "Failed", detail: status.code, message: sentence(status.message) };
  }
}

function warming({ bytesDone, bytesTotal, seconds }: Extract<Status, { state: "warming" }>) {
  const rate = seconds > 0 ? bytesDone / seconds : 0;
  const left = rate > 0 ? (bytesTotal - bytesDone) / rate : 0;
  const parts = [
    `${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)}`,
    rate > 0 ? `${formatBytes(rate)}/s` : "",
    left >= 1 ? `${Math.round(left)} s left` : "",
  ];
  return { detail: parts.filter(Boolean).join(" · "), progress: bytesDone / (bytesTotal || 1) };
}

function done({ bytes, seconds, ...resident }: Extract<Status, { state: "done" }>) {
  const before =
    resident.residentBefore === null || resident.residentAfter === null
      ? "The system does not say how much was resident before."
      : `${percent(resident.residentBefore, bytes)} was resident before, ${percent(resident.residentAfter, bytes)} is now.`;
  const rate = seconds > 0 ? `, ${formatBytes(bytes / seconds)}/s` : "";
  return {
    detail: `${formatBytes(bytes)} in ${seconds.toFixed(1)} s${rate}`,
    message: before,
    progress: 1,
  };
}
