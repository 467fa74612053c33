import type { Gate } from "../gate.ts";
import { divideExperts } from "../model/expert-names.ts";
import type { PassRun, PlannedTensor } from "./pass.ts";

/**
 * Divides what stays on the CPU into what every token reads and the routed experts, of which a token
 * reads a few. Each has a gate of its own, so that the first is warmed also where the second does not
 * fit. A run without tensors is left out.
 *
 * @param gate of the core. Experts are compared with the memory that is free by then
 */
export function coreAndExperts(
  label: string,
  gate: Gate,
  regions: readonly PlannedTensor[],
): PassRun[] {
  const { core, experts } = divideExperts(regions, ({ tensor }) => tensor.name);
  const runs: PassRun[] = [
    { name: "core", label, gate, regions: core },
    { name: "experts", label: `${label} experts`, gate: "fits-in-free-ram", regions: experts },
  ];
  return runs.filter((run) => run.regions.length > 0);
}
