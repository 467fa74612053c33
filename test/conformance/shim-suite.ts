import type { Case } from "./case.ts";
import { holdingCases } from "./shim-holding-cases.ts";
import { knowledgeCases } from "./shim-knowledge-cases.ts";
import { mappingCases } from "./shim-mapping-cases.ts";
import type { Subject } from "./subject.ts";

/** What is asked of every shim: that it does a thing, or says plainly that it does not. */
export const shimSuite: readonly Case<Subject>[] = [
  ...mappingCases,
  ...knowledgeCases,
  ...holdingCases,
];
