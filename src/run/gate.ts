import type { Shim } from "../../shims/index.ts";
import {
  exceedsMemory,
  type Gate,
  type GateAnswer,
  type GateQuestion,
  shouldRun,
} from "../gate.ts";
import { killSwitch } from "../kill-switch.ts";
import { availableBytes, totalBytes } from "../memory/memory.ts";
import type { ResolvedOptions } from "../options.ts";
import type { Run } from "../target/run.ts";

/** Bytes to be made resident, and those of them that are already. */
export interface GateSubject {
  readonly bytes: number;
  readonly residentBytes: number;
  /** The run's own; the caller's option comes first. */
  readonly gate: Gate | undefined;
}

/** Asks the gate with what the environment and the machine say now. */
export function askGate(subject: GateSubject, options: ResolvedOptions, shim: Shim): GateAnswer {
  return shouldRun(question(subject, options, shim));
}

/** Whether memory allows it, or the kill switch forces it. */
export function fits(subject: GateSubject, options: ResolvedOptions, shim: Shim): boolean {
  const asked = question(subject, options, shim);
  return asked.mode === "1" || !exceedsMemory(asked);
}

/** Whether the gate lets every run of a target be filled. The length of each region has to be known. */
export function allowsAll(runs: readonly Run[], options: ResolvedOptions, shim: Shim): boolean {
  return runs.every((run) => {
    if (run.kind !== "files" || run.skipped !== undefined) return false;
    const bytes = run.regions.reduce((sum, { byteLength = 0 }) => sum + byteLength, 0);
    return askGate({ bytes, residentBytes: 0, gate: run.gate }, options, shim).run;
  });
}

function question(
  { bytes, residentBytes, gate: own }: GateSubject,
  options: ResolvedOptions,
  shim: Shim,
): GateQuestion {
  const memory = shim.memory();
  const gate = options.gate ?? own ?? "fits-in-free-ram";
  const { mode, name } = killSwitch(options.killSwitch);
  return {
    mode,
    totalBytes: bytes,
    availableBytes:
      gate === "fits-in-ram" ? totalBytes(memory) : availableBytes(residentBytes, memory),
    gate,
    killSwitch: name,
  };
}
