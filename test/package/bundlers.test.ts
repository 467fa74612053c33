import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { build as esbuild } from "esbuild";
import { build as vite } from "vite";
import { beforeAll, describe, expect, it } from "vitest";
import webpack from "webpack";
import { mostOf } from "../helpers/tolerance.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { consumerProject } from "./packed.ts";
import { runNode } from "./run.ts";

/** What a bundle cannot hold: a native addon, and a pool that starts its own file as a thread. */
const EXTERNAL = ["koffi", "piscina"];

const APP = `import { PrefaultError, prefault } from "prefault";
const { ran, strategy, strategyReason, bytes, residentBytesAfter, error } = await prefault(process.argv[2], {
  gate: "always",
  log() {},
});
const missing = await prefault("missing.gguf", { log() {} });
console.log(JSON.stringify({
  ran, strategy, strategyReason, bytes, residentBytesAfter,
  error: error?.message ?? null,
  missing: PrefaultError.is(missing.error) && missing.error.code,
  self: import.meta.url,
}));
`;

let project: string;
let model: string;
beforeAll(async () => {
  project = await consumerProject();
  mkdirSync(join(project, "src"), { recursive: true });
  writeFileSync(join(project, "src/app.js"), APP);
  model = join(project, "moe.gguf");
  await writeSyntheticModel({ kind: "moe", path: model });
});

/** Runs a bundle on the model, and expects that it really made it resident. */
async function expectPrefaults(bundle: string): Promise<void> {
  const { code, stdout, stderr } = await runNode([bundle, model], { cwd: project });
  expect(stderr).toBe("");
  expect(code).toBe(0);
  const report = JSON.parse(stdout);
  expect(report).toMatchObject({ ran: true, error: null, missing: "PREFAULT_NOT_FOUND" });
  expect(report.residentBytesAfter).toBeGreaterThan(mostOf(report.bytes));
}

/** That the package is in the bundle, and the externals are not. */
function expectBundled(folder: string): void {
  const scripts = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith("js"))
    .map((name) => readFileSync(join(folder, name), "utf8"));
  const imports = (name: string) =>
    scripts.some((text) => text.includes(`from "${name}"`) || text.includes(`import("${name}")`));
  expect(EXTERNAL.map(imports)).toEqual([true, true]);
  expect(imports("prefault")).toBe(false);
  expect(scripts.join("\n")).toContain("PREFAULT_WORKER_FAILED");
}

describe("a bundle with koffi and piscina left out of it", () => {
  it("by esbuild, with the worker as a second entry", async () => {
    const outdir = join(project, "by-esbuild");
    await esbuild({
      absWorkingDir: project,
      entryPoints: { app: "src/app.js", worker: "prefault/worker" },
      outdir,
      bundle: true,
      splitting: true,
      format: "esm",
      platform: "node",
      external: EXTERNAL,
      logLevel: "error",
    });
    expectBundled(outdir);
    await expectPrefaults(join(outdir, "app.js"));
  });

  it("by Vite, as an SSR build", async () => {
    const outDir = join(project, "by-vite");
    await vite({
      root: project,
      logLevel: "error",
      configFile: false,
      build: {
        ssr: true,
        outDir,
        minify: false,
        rollupOptions: {
          input: { app: join(project, "src/app.js"), worker: "prefault/worker" },
          output: { entryFileNames: "[name].js", chunkFileNames: "[name]-[hash].js" },
        },
      },
      ssr: { noExternal: ["prefault"], external: EXTERNAL },
    });
    expectBundled(outDir);
    await expectPrefaults(join(outDir, "app.js"));
  });

  it("by Vite, as a library", async () => {
    const outDir = join(project, "by-vite-library");
    await vite({
      root: project,
      logLevel: "error",
      configFile: false,
      // Library mode builds for browsers, where @huggingface/gguf reads no files, unless told so.
      resolve: { conditions: ["node", "module"], mainFields: ["module"] },
      build: {
        target: "node20",
        outDir,
        minify: false,
        lib: {
          // A library's entries are files to Vite, never packages.
          entry: {
            app: join(project, "src/app.js"),
            worker: join(project, "node_modules/prefault/dist/worker.js"),
          },
          formats: ["es"],
        },
        rollupOptions: { external: [...EXTERNAL, ...builtinModules, /^node:/] },
      },
    });
    expectBundled(outDir);
    await expectPrefaults(join(outDir, "app.js"));
  });

  it("by webpack, with the worker as a second entry", async () => {
    const path = join(project, "by-webpack");
    await runWebpack({
      context: project,
      mode: "production",
      target: "node20",
      entry: { app: "./src/app.js", worker: "prefault/worker" },
      externals: Object.fromEntries(EXTERNAL.map((name) => [name, `module ${name}`])),
      experiments: { outputModule: true },
      // Left as it is, import.meta.url is the bundle's own; webpack would freeze the build's path.
      module: { parser: { javascript: { importMeta: false, url: false } } },
      optimization: { minimize: false },
      output: { path, filename: "[name].js", library: { type: "module" }, module: true },
    });
    expectBundled(path);
    await expectPrefaults(join(path, "app.js"));
  });
});

describe("a bundle that finds the worker elsewhere", () => {
  it("is told where by workerUrl", async () => {
    const outfile = join(project, "single/app.js");
    const app = `const url = new URL(import.meta.resolve("prefault/worker"));\n${APP.replace("log() {},", "workerUrl: url, log() {},")}`;
    await esbuild({
      absWorkingDir: project,
      stdin: { contents: app, resolveDir: project },
      outfile,
      bundle: true,
      format: "esm",
      platform: "node",
      external: EXTERNAL,
      logLevel: "error",
    });
    await expectPrefaults(outfile);
  });

  it("reads on its own thread and says what is missing when it is not told", async () => {
    const outfile = join(project, "lonely/app.js");
    await esbuild({
      absWorkingDir: project,
      entryPoints: ["src/app.js"],
      outfile,
      bundle: true,
      format: "esm",
      platform: "node",
      external: EXTERNAL,
      logLevel: "error",
    });
    const { stdout, code } = await runNode([outfile, model], { cwd: project });
    expect(code).toBe(0);
    const { ran, strategyReason, error } = JSON.parse(stdout);
    expect({ ran, error }).toEqual({ ran: true, error: null });
    expect(strategyReason).toMatch(/read on the calling thread, because .*worker\.js/);
  });
});

function runWebpack(options: webpack.Configuration): Promise<void> {
  return new Promise((resolve, reject) => {
    webpack(options, (error, stats) => {
      if (error) reject(error);
      else if (stats?.hasErrors() || stats?.hasWarnings()) {
        reject(new Error(stats.toString({ preset: "errors-warnings" })));
      } else resolve();
    });
  });
}
