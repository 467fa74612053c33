import { chmodSync, cpSync, existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { inject } from "vitest";
import { npmInstall, packedTarball } from "../../package/packed.ts";
import { ROOT, runOrThrow } from "../../package/run.ts";

/** Where a user's app may well lie. */
const FOLDER = "Ünïcode apps/Modell wärmen";

/**
 * The example as its reader has it: a copy of the folder with its dependencies installed, prefault
 * from the tarball, and built. Made once a run.
 */
export async function electronApp(): Promise<string> {
  const app = join(inject("packageFolder"), FOLDER);
  if (existsSync(join(app, "built"))) return app;
  mkdirSync(app, { recursive: true });
  const generated = new Set(["node_modules", "dist", "release"]);
  cpSync(join(ROOT, "examples/electron"), app, {
    recursive: true,
    filter: (path) => !generated.has(basename(path)),
  });
  // Without scripts: Electron's own would fetch the program, which no test here starts.
  await npmInstall(app, [await packedTarball()], ["--ignore-scripts"]);
  await runOrThrow("npm", ["run", "build"], { cwd: app });
  writeFileSync(join(app, "built"), "");
  return app;
}

/**
 * The example packed by electron-builder, which is given a stand-in for the Electron program: an
 * archive, and beside it what was unpacked. Returns the folder that holds both, moved away from the
 * project, whose `node_modules` Node would find from there.
 */
export async function packedResources(): Promise<string> {
  const installed = join(inject("packageFolder"), "installed apps/Wärmer");
  const resources = join(installed, "resources");
  if (existsSync(resources)) return resources;
  const app = await electronApp();
  const electron = join(inject("packageFolder"), "electron-stand-in");
  mkdirSync(join(electron, "resources"), { recursive: true });
  writeFileSync(join(electron, "electron"), "#!/bin/sh\n");
  chmodSync(join(electron, "electron"), 0o755);
  const builder = ["electron-builder", "--dir", "--linux", `--config.electronDist=${electron}`];
  await runOrThrow("npx", ["--no-install", ...builder], { cwd: app });
  mkdirSync(installed, { recursive: true });
  renameSync(join(app, "release/linux-unpacked/resources"), resources);
  return resources;
}
