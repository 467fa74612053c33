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
