import type { BuildOptions } from "esbuild";

/** The package's entry points, and how they are bundled. */
export const BUNDLE: BuildOptions = {
  entryPoints: {
    index: "src/index.ts",
    worker: "src/sweep/worker.ts",
    cli: "src/cli/main.ts",
    "run-warmer": "src/cli/run/warmer.ts",
    "node-llama-cpp": "src/integrations/node-llama-cpp.ts",
  },
  bundle: true,
  // Shared code in chunks: the library and the command must be one copy, errors and all.
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20",
  packages: "external",
  sourcemap: true,
};
