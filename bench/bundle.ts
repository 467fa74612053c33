import { existsSync } from "node:fs";

const bundled = new Map<string, Promise<string>>();

/**
 * Compiles a script that runs in a process or a thread of its own: a loader in there would cost time
 * and memory next to what is measured, and Node 20 starts no thread from TypeScript. Packages stay
 * outside, `prefault` among them: it is the built one that is measured.
 *
 * @returns its path, relative to the package's folder
 */
export function bundle(source: string): Promise<string> {
  let outfile = bundled.get(source);
  if (outfile === undefined) {
    outfile = compile(source);
    bundled.set(source, outfile);
  }
  return outfile;
}

async function compile(source: string): Promise<string> {
  const outfile = `build/${source.replace(/\.ts$/, ".mjs")}`;
  // A machine without the development tools has what was compiled elsewhere.
  const esbuild = await import("esbuild").catch(() => null);
  if (esbuild === null && existsSync(outfile)) return outfile;
  if (esbuild === null) throw new Error(`${outfile} is missing, and esbuild is not installed`);
  await esbuild.build({
    entryPoints: [source],
    outfile,
    bundle: true,
    packages: "external",
    format: "esm",
    platform: "node",
    target: "node20",
    logLevel: "error",
  });
  return outfile;
}
