import { gib } from "./units.ts";

/**
 * The rule that says whether a sweep fits this machine.
 *
 * - `fits-in-ram`: not when the bytes exceed 80 % of the RAM there is, or of the cgroup's limit.
 * - `fits-in-free-ram`: the same for the memory that is available now, cached pages of the target included.
 * - `always`: no memory rule.
 */
export type Gate = "always" | "fits-in-ram" | "fits-in-free-ram";

export const GATES: readonly Gate[] = ["fits-in-ram", "fits-in-free-ram", "always"];

/** The environment variable that turns the sweep off (`0`) or forces it (`1`). */
export const KILL_SWITCH = "SHARPI_PREFAULT";

/** The reason of a run without bytes, which is not logged. */
export const NO_BYTES = "no mapped weights";

/** The input of {@link shouldRun}. */
export interface GateQuestion {
  /** The kill switch's value. `"0"` never, `"1"` force, anything else or nothing: auto. */
  readonly mode: string | undefined;
  /** Bytes that would be made resident. */
  readonly totalBytes: number;
  /** Bytes of memory to compare with, measured by the caller as the gate asks. 0 or less: unknown. */
  readonly availableBytes: number;
  readonly gate: Gate;
  /** Name of the kill switch, for the reason. @defaultValue `"SHARPI_PREFAULT"` */
  readonly killSwitch?: string;
}

/** Whether to run, and the reason in words. */
export interface GateAnswer {
  readonly run: boolean;
  readonly reason: string;
}

/**
 * Decides whether a sweep should run. Pure: it reads no clock, no environment and no machine.
 *
 * In this order: no bytes, kill switch `0`, kill switch `1`, memory, auto. Force bypasses the memory
 * rule, and nothing runs without bytes. Unknown memory never skips.
 *
 * Both memory gates skip by the reference's rule, `total > floor(available / 10) * 8`, so that exactly
 * 80 % runs (SharpInference `MmapPrefault.ShouldRun`, PR #257).
 */
export function shouldRun(question: GateQuestion): GateAnswer {
  const { mode, totalBytes, killSwitch = KILL_SWITCH } = question;
  if (totalBytes <= 0) return { run: false, reason: NO_BYTES };
  if (mode === "0") return { run: false, reason: `disabled (${killSwitch}=0)` };
  if (mode === "1") return { run: true, reason: `forced (${killSwitch}=1)` };
  const { gate, availableBytes } = question;
  if (!exceedsMemory(question)) return { run: true, reason: "auto" };
  const memory = gate === "fits-in-ram" ? "RAM" : "RAM available now";
  return {
    run: false,
    reason: `skipped: ${gib(totalBytes)} exceeds 80% of ${gib(availableBytes)} ${memory}`,
  };
}

/** The memory rule of {@link shouldRun} alone. */
export function exceedsMemory({ totalBytes, availableBytes, gate }: GateQuestion): boolean {
  return gate !== "always" && availableBytes > 0 && totalBytes > allowedBytes(availableBytes);
}

/** Bytes that a sweep may make resident of those that are available. */
export function allowedBytes(availableBytes: number): number {
  return Math.floor(availableBytes / 10) * 8;
}
