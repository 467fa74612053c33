import { type BuildOptions, build } from "esbuild";

const OPTIONS: BuildOptions = {
  bundle: true,
  // What is loaded when it is used, and what entry points share, is in chunks: the library's parts must be one
  // copy, errors and all.
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20",
  packages: "external",
  sourcemap: true,
};

/**
 * The package's entry points, and how they are bundled. The command is bundled by itself: it loads its parts one by
 * one, and a library that shared them would be of twice as many files, each of which takes Node most of a
 * millisecond to find and read.
 */
export const BUNDLES: readonly BuildOptions[] = [
  {
    ...OPTIONS,
    entryPoints: {
      index: "src/index.ts",
      worker: "src/sweep/worker.ts",
      "node-llama-cpp": "src/integrations/node-llama-cpp.ts",
    },
  },
  { ...OPTIONS, entryPoints: { cli: "src/cli/main.ts", "run-warmer": "src/cli/run/warmer.ts" } },
];

/** Bundles all of them into a folder. */
export async function bundle(outdir: string): Promise<void> {
  for (const options of BUNDLES) await build({ ...options, outdir });
}
