import type { Tensor } from "../../src/model/model.ts";
import type { ModelPlan } from "../../src/passes/index.ts";

/** What the plan says is read from the mapping, whether it is to be made resident or not. */
export function mappedTensors({ runs, elsewhere }: ModelPlan): Tensor[] {
  const lazy = elsewhere.filter(({ place }) => place === "lazy");
  return [...runs.flatMap(({ regions }) => regions), ...lazy].map(({ tensor }) => tensor);
}

/** The engine maps a file from its first CPU tensor to its last; no buffer where there is none. */
export function mappedSpans(plan: ModelPlan): string[] {
  return plan.model.files.flatMap((_, file) => {
    const inFile = mappedTensors(plan).filter((tensor) => tensor.file === file);
    if (inFile.length === 0) return [];
    const start = Math.min(...inFile.map(({ offset }) => offset));
    const end = Math.max(...inFile.map(({ offset, byteLength }) => offset + byteLength));
    return asPrinted((end - start) / 2 ** 20);
  });
}

/** `%.2f` of C, where a tie goes to the even digit; `toFixed` takes the larger. */
function asPrinted(mib: number): string {
  const hundredths = Math.floor(mib * 100);
  const isTie = mib * 100 - hundredths === 0.5;
  return (isTie ? (hundredths + (hundredths % 2)) / 100 : mib).toFixed(2);
}

export function namesOf(tensors: readonly Pick<Tensor, "name">[]): string[] {
  return tensors.map(({ name }) => name).sort();
}
