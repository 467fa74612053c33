/** `npm run dev`: builds `dist` without declarations, and again at every change, until Ctrl-C. */
import { watch } from "node:fs";
import { context } from "esbuild";
import { BUNDLES } from "./bundle.ts";
import { buildKernels } from "./kernels.ts";

buildKernels();
for (const options of BUNDLES) {
  const bundler = await context({ ...options, outdir: "dist", logLevel: "info" });
  await bundler.watch();
}

// esbuild sees the generated module change, and bundles again by itself. An editor that saves a file
// causes several events within a few milliseconds.
let pending: NodeJS.Timeout | undefined;
watch("assembly", () => {
  clearTimeout(pending);
  pending = setTimeout(() => {
    try {
      buildKernels();
    } catch {
      // The compiler has printed what is wrong; the next change compiles again.
    }
  }, 50);
});
