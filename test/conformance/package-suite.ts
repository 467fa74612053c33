import type { Case } from "./case.ts";
import type { Installation } from "./installation-under-test.ts";
import { fillingCases } from "./package-filling-cases.ts";
import { refusalCases } from "./package-refusal-cases.ts";

/** What is asked of the installed package on every platform. */
export const packageSuite: readonly Case<Installation>[] = [...fillingCases, ...refusalCases];
