/** `npm run build`: kernels → esbuild entries → type declarations. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { bundle } from "./bundle.ts";
import { buildKernels } from "./kernels.ts";

buildKernels();

// Built beside `dist` and renamed when it is whole: a build that fails leaves the last one as it was.
// At the same depth as `dist`, since source maps name their sources from where they were written.
const out = mkdtempSync("dist-");
await bundle(out);
chmodSync(`${out}/cli.js`, 0o755);
execFileSync(
  process.execPath,
  ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json", "--outDir", `${out}/types`],
  { stdio: "inherit" },
);
chmodSync(out, 0o755);
rmSync("dist", { recursive: true, force: true });
renameSync(out, "dist");
