import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { inject } from "vitest";
import type { ChildOptions } from "../helpers/run-child.ts";
import { ROOT, runOrThrow } from "./run.ts";

/** The package as npm would publish it. Made once a run. */
export async function packedTarball(): Promise<string> {
  const folder = inject("packageFolder");
  const tarball = join(folder, "prefault.tgz");
  await once(tarball, () => pack(folder, tarball));
  return tarball;
}

async function pack(folder: string, tarball: string): Promise<void> {
  // The tests run against what was built; packing must not build it again.
  const args = ["pack", "--ignore-scripts", "--json", "--pack-destination", folder];
  const [{ filename } = { filename: "" }] = JSON.parse(await runOrThrow("npm", args)) as {
    filename: string;
  }[];
  renameSync(join(folder, filename), tarball);
}

/** `npm install` as a user types it, but from the cache where that suffices. */
export async function npmInstall(
  cwd: string,
  packages: readonly string[],
  flags: readonly string[] = [],
  options: ChildOptions = {},
): Promise<void> {
  const quiet = ["--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"];
  await runOrThrow("npm", ["install", ...quiet, ...flags, ...packages], { ...options, cwd });
}

/** An empty project with the tarball installed, made once a run. Consumers add files of their own. */
export async function consumerProject(): Promise<string> {
  const folder = join(inject("packageFolder"), "consumer");
  await once(folder, () => makeConsumer(folder));
  return folder;
}

async function makeConsumer(folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const manifest = { name: "consumer", version: "1.0.0", private: true, type: "module" };
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  const { default: ours } = await import("../../package.json", { with: { type: "json" } });
  const types = `@types/node@${ours.devDependencies["@types/node"]}`;
  await npmInstall(folder, [await packedTarball(), types]);
}

/** Two files of the group run at a time: the first makes it, the other waits until it is made. */
async function once(path: string, make: () => Promise<void>): Promise<void> {
  const [claim, done] = [`${path}.claimed`, `${path}.done`];
  try {
    mkdirSync(claim);
  } catch {
    while (!existsSync(done)) {
      if (!existsSync(claim)) throw new Error(`${path} could not be made: see the other file`);
      await sleep(50);
    }
    return;
  }
  try {
    await make();
    writeFileSync(done, "");
  } catch (error) {
    rmSync(claim, { recursive: true });
    throw error;
  }
}

export const TSC = join(ROOT, "node_modules/typescript/bin/tsc");
