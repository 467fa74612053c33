import { mkdirSync, statSync } from "node:fs";
import { isInstalled, runProgram } from "./process.ts";

/** The C programs of `bench/c`, and how each is compiled. */
const FLAGS = {
  fill: ["-O2", "-pthread"],
  "next-mapping": ["-O2"],
  "take-memory": ["-O2"],
  // A decoder's kernels are vectorised for the processor at hand.
  decode: ["-O3", "-march=native"],
  slices: ["-O2", "-pthread"],
  "touch-pages": ["-O2", "-shared", "-fPIC"],
} as const;

export type Program = keyof typeof FLAGS;

/** The compiled programs, or the reason why there are none. */
export type Tools =
  | { readonly path: (program: Program) => string; readonly missing?: undefined }
  | { readonly missing: string };

/** Compiles what is missing or older than its source. */
export async function compileTools(): Promise<Tools> {
  if (!(await isInstalled("cc"))) return { missing: "there is no C compiler (cc)" };
  const path = (program: Program) => `build/bench/${program}`;
  mkdirSync("build/bench", { recursive: true });
  for (const program of Object.keys(FLAGS) as Program[]) {
    const source = `bench/c/${program}.c`;
    const built = statSync(path(program), { throwIfNoEntry: false });
    if (built !== undefined && built.mtimeMs > statSync(source).mtimeMs) continue;
    await runProgram("cc", [...FLAGS[program], "-o", path(program), source]);
  }
  return { path };
}
