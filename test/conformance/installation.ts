import { cpSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { build } from "esbuild";

const ROOT = join(import.meta.dirname, "../..");

/** Bundles the runner for any Node. @returns its path */
export async function bundleRunner(folder: string): Promise<string> {
  await build({
    entryPoints: [join(ROOT, "test/conformance/runner.ts")],
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    // What is imported on demand stays so: koffi may be missing.
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    packages: "external",
    logLevel: "error",
  });
  return join(folder, "runner.mjs");
}

/** Puts the built package into a `node_modules`. @returns the path of what one imports */
export function installPackage(modules: string): string {
  const home = join(modules, "prefault");
  mkdirSync(home, { recursive: true });
  cpSync(join(ROOT, "package.json"), join(home, "package.json"));
  cpSync(join(ROOT, "dist"), join(home, "dist"), { recursive: true });
  return join(home, "dist/index.js");
}

/** Links the package's own dependencies beside it, but for those that are to be missing. */
export function linkDependencies(modules: string, missing: readonly string[]): void {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  for (const name of Object.keys(dependencies)) {
    if (missing.includes(name)) continue;
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(ROOT, "node_modules", name), join(modules, name));
  }
}
