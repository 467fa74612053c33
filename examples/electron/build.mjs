import { copyFileSync, rmSync } from "node:fs";
import { build } from "esbuild";

rmSync("dist", { recursive: true, force: true });
const node = { bundle: true, platform: "node", target: "node22", logLevel: "warning" };

// Packages stay outside: prefault starts threads from its own files, and koffi is native.
await build({
  ...node,
  entryPoints: { main: "src/main/main.ts", warmer: "src/warmer/main.ts" },
  outdir: "dist",
  format: "esm",
  packages: "external",
});
// A sandboxed preload is a script, and may require "electron" only.
await build({
  ...node,
  entryPoints: ["src/preload/preload.ts"],
  outfile: "dist/preload.cjs",
  format: "cjs",
  external: ["electron"],
});
await build({
  entryPoints: { window: "src/window/window.ts" },
  outdir: "dist",
  bundle: true,
  format: "iife",
  target: "chrome130",
  logLevel: "warning",
});
for (const name of ["window.html", "window.css"])
  copyFileSync(`src/window/${name}`, `dist/${name}`);
