import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, describe, expect, inject, it } from "vitest";
import { looksAtPageCache } from "../helpers/tolerance.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { consumerProject } from "../package/packed.ts";
import { runNode } from "../package/run.ts";
import { electronApp, packedResources } from "./electron/app.ts";
import { WarmerProcess } from "./electron/warmer-process.ts";

let model: string;
beforeAll(async () => {
  model = join(inject("packageFolder"), "wärmen 模型.gguf");
  await writeSyntheticModel({ kind: "moe", path: model });
});

describe("the example, packed by electron-builder", () => {
  let resources: string;
  let unpacked: string;
  beforeAll(async () => {
    resources = await packedResources();
    unpacked = join(resources, "app.asar.unpacked");
  });

  it("has app and window in the archive, and beside it what runs in threads or is native", () => {
    // The archive is one file, which plain Node cannot look into: what it needs lies beside it.
    expect(statSync(join(resources, "app.asar")).isFile()).toBe(true);
    const files = readdirSync(unpacked, { recursive: true, encoding: "utf8" });
    expect(files.filter((file) => file.startsWith("dist/"))).toEqual(["dist/warmer.js"]);
    expect(files).toContain("node_modules/prefault/dist/worker.js");
    expect(files.some((file) => /@koromix\/.*\/koffi\.node$/.test(file))).toBe(true);
    const dist = join(unpacked, "node_modules/prefault/dist");
    const worker = readFileSync(join(dist, "worker.js"), "utf8");
    const chunks = [...worker.matchAll(/from "\.\/(chunk-[^"]+)"/g)].map(([, name]) => name);
    expect(chunks.length).toBeGreaterThan(0);
    for (const chunk of chunks) expect(existsSync(join(dist, chunk ?? "")), chunk).toBe(true);
  });

  it("warms from there, native and in threads", async () => {
    const warmer = await WarmerProcess.start(join(unpacked, "dist/warmer.js"));
    warmer.fromMain({ kind: "open", path: model });
    expect((await warmer.until("idle", "failed")).status).toEqual({ state: "idle" });
    warmer.fromWindow({ kind: "warm", force: true, budget: "" });
    const { status } = await warmer.until("done", "skipped", "failed");
    expect(status).toMatchObject({ state: "done" });
    await warmer.end();
    // It would say so if koffi had not been found, and read the file in place of mapping it.
    expect(warmer.stderr).toBe("");
  });
});

/** Other apps run the library from within the archive, which Electron shows to them as a folder. */
describe("the library in app.asar", () => {
  const SCRIPT = `
    const [library, model, worker] = process.argv.slice(1);
    const { prefault } = await import(library);
    const { ran, strategy, strategyReason, error } = await prefault(model, {
      gate: "always", log() {}, ...(worker && { workerUrl: new URL(worker) }),
    });
    console.log(JSON.stringify({ ran, strategy, strategyReason, error: error?.message ?? null }));`;

  async function run(library: string, worker = "") {
    const url = pathToFileURL(library).href;
    const { stdout } = await runNode(["--input-type=module", "-e", SCRIPT, url, model, worker]);
    return JSON.parse(stdout);
  }

  let archive: string;
  let unpacked: string;
  beforeAll(async () => {
    const resources = join(inject("packageFolder"), "Resources & más");
    archive = join(resources, "app.asar/node_modules");
    unpacked = join(resources, "app.asar.unpacked/node_modules");
    mkdirSync(archive, { recursive: true });
    const installed = join(await consumerProject(), "node_modules");
    cpSync(installed, archive, { recursive: true, verbatimSymlinks: true });
    cpSync(installed, unpacked, { recursive: true, verbatimSymlinks: true });
  });

  it("starts its threads from app.asar.unpacked", async () => {
    // Threads find no worker in the archive: the one beside it is what serves.
    const worker = join(archive, "prefault/dist/worker.js");
    renameSync(worker, `${worker}.gone`);
    const library = join(archive, "prefault/dist/index.js");
    expect(await run(library)).toMatchObject({ ran: true, strategy: "populate", error: null });
  });

  it("reads on its own thread and says where it looked when the worker was not unpacked, and takes workerUrl", async () => {
    const worker = join(unpacked, "prefault/dist/worker.js");
    const moved = join(unpacked, "prefault/dist/wörker elsewhere.js");
    renameSync(worker, moved);
    const library = join(archive, "prefault/dist/index.js");
    expect((await run(library)).strategyReason).toMatch(/app\.asar\.unpacked\/.*worker\.js/);
    expect(await run(library, pathToFileURL(moved).href)).toMatchObject({ error: null });
  });
});

describe("the library in a folder with spaces and letters beyond ASCII", () => {
  it("maps natively, in threads", looksAtPageCache, async () => {
    const app = await electronApp();
    const library = pathToFileURL(join(app, "node_modules/prefault/dist/index.js")).href;
    const script = `
      const { prefault, residency } = await import(${JSON.stringify(library)});
      const { error, strategy, files } = await prefault(process.argv[1], { log() {} });
      const { residentBytes, bytes } = await residency(process.argv[1]);
      console.log(JSON.stringify([error ?? null, strategy, files[0].path, residentBytes >= bytes]));`;
    const { stdout, stderr } = await runNode(["--input-type=module", "-e", script, model]);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual([null, "populate", model, true]);
  });
});
