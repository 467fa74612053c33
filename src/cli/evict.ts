import { abortable } from "../abortable.ts";
import { type EvictedFile, evict as evictTarget } from "../residency/evict.ts";
import { formatBytes } from "../units.ts";
import type { Flags } from "./flags.ts";
import { requireOperands } from "./operands.ts";
import { filesOfLine } from "./plan-operands.ts";
import type { Result } from "./result.ts";
import { columns, percent, printable } from "./text.ts";

/** `prefault evict`: drops files from the page cache, of a pasted line those that it loads. */
export async function evict(
  files: readonly string[],
  flags: Flags,
  signal: AbortSignal,
): Promise<Result> {
  const ofLine = flags.line === undefined ? [] : await filesOfLine(flags.line, signal);
  const operands = requireOperands([...files, ...ofLine], flags);
  const report = await abortable(signal, evictTarget(operands));
  const { files: evicted, failures, notes } = report;
  return {
    document: report,
    text: () => (flags.quiet || evicted.length === 0 ? "" : describe(evicted)),
    failures,
    notes: flags.quiet ? [] : notes,
  };
}

function describe(files: readonly EvictedFile[]): string {
  const resident = (bytes: number | null, all: number) =>
    bytes === null ? "unknown" : percent(bytes, all);
  const rows = files.map(({ path, bytes, residentBytesBefore, residentBytesAfter }) => [
    printable(path),
    formatBytes(bytes),
    resident(residentBytesBefore, bytes),
    resident(residentBytesAfter, bytes),
  ]);
  const lines = columns([["", "bytes", "resident before", "after"], ...rows], 4);
  if (files.some(({ residentBytesAfter }) => (residentBytesAfter ?? 0) > 0)) {
    lines.push("What is left is in use: the system keeps pages that a process has mapped.");
  }
  return lines.join("\n");
}
