import type { Shim } from "../../shims/index.ts";
import { type Gate, type GateAnswer, shouldRun } from "../gate.ts";
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
export function askGate(
  { bytes, residentBytes, gate: own }: GateSubject,
  options: ResolvedOptions,
  shim: Shim,
): GateAnswer {
  const memory = shim.memory();
  const gate = options.gate ?? own ?? "fits-in-free-ram";
  const { mode, name } = killSwitch(options.killSwitch);
  return shouldRun({
    mode,
    totalBytes: bytes,
    availableBytes:
      gate === "fits-in-ram" ? totalBytes(memory) : availableBytes(residentBytes, memory),
    gate,
    killSwitch: name,
  });
}
