import { formatBytes } from "../units.ts";
import type { Part } from "./plan-parts.ts";
import { percent, plural, printable } from "./text.ts";

/** A row for each reason, the largest first. */
export function groupRows(parts: readonly Part[], wholeBytes: number): string[][] {
  const groups = new Map<string, Part[]>();
  for (const part of parts) {
    const group = groups.get(part.reason);
    if (group === undefined) groups.set(part.reason, [part]);
    else group.push(part);
  }
  return [...groups]
    .map(([reason, group]) => ({ reason, group, bytes: sum(group) }))
    .sort((one, other) => other.bytes - one.bytes)
    .map(({ reason, group }) => groupRow(`  ${reason}`, group, wholeBytes));
}

/** Title, tensors, bytes, share of the whole. */
export function groupRow(title: string, parts: readonly Part[], wholeBytes: number): string[] {
  const tensors = parts.filter(({ tensor }) => tensor !== null).length;
  const bytes = sum(parts);
  return [
    printable(title),
    tensors === 0 ? "" : plural(tensors, "tensor"),
    formatBytes(bytes),
    percent(bytes, wholeBytes),
  ];
}

function sum(parts: readonly Part[]): number {
  return parts.reduce((total, part) => total + part.byteLength, 0);
}
