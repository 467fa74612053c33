import { budgetCases } from "./budget-cases.ts";
import { cgroupCases } from "./cgroup-cases.ts";
import { conformanceCases } from "./conformance-cases.ts";
import { cliCases, diskCases } from "./disk-cases.ts";
import { failingCases } from "./failing-cases.ts";
import { fillCases, strategyCases } from "./fill-cases.ts";
import type { GuestCase } from "./guest.ts";
import { keepCases } from "./keep-cases.ts";
import { kernelCases, lastCase } from "./kernel-cases.ts";
import { manifestCases } from "./manifest-cases.ts";
import { runCases } from "./run-cases.ts";
import { wasmCases } from "./wasm-cases.ts";

/** In the order they run in. */
const cases: readonly GuestCase[] = [
  ...kernelCases,
  ...fillCases,
  ...strategyCases,
  ...wasmCases,
  ...conformanceCases,
  ...diskCases,
  ...failingCases,
  ...cliCases,
  ...cgroupCases,
  ...budgetCases,
  ...keepCases,
  ...runCases,
  ...manifestCases,
  lastCase,
];

/** Those whose names match a regular expression, with dashes for spaces. */
export function casesLike(pattern: string): readonly GuestCase[] {
  const expression = new RegExp(pattern);
  return cases.filter(({ name }) => expression.test(name.replaceAll(" ", "-")));
}
