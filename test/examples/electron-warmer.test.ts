import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { evict } from "prefault";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { asCommand, type Command } from "../../examples/electron/src/ipc.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { TSC } from "../package/packed.ts";
import { runNode } from "../package/run.ts";
import { electronApp } from "./electron/app.ts";
import { WarmerProcess } from "./electron/warmer-process.ts";

let app: string;
let folder: string;
let moe: string;
let huge: string;
beforeAll(async () => {
  app = await electronApp();
  folder = mkdtempSync(join(tmpdir(), "prefault modèle "));
  moe = join(folder, "größe.gguf");
  await writeSyntheticModel({ kind: "moe", path: moe, targetBytes: 48 * 1024 ** 2 });
  huge = join(folder, "huge.gguf");
  const targetBytes = 400 * 1024 ** 3;
  await writeSyntheticModel({ kind: "moe", path: huge, targetBytes, contents: "hole" });
});
afterAll(() => rmSync(folder, { recursive: true }));

it("type-checks as a project of its own, with Electron's types", async () => {
  const { stdout, code } = await runNode([TSC, "-p", "tsconfig.json"], { cwd: app });
  expect(stdout).toBe("");
  expect(code).toBe(0);
});

it("lets the page name no program", () => {
  const asked = { kind: "start-server", command: ["/bin/sh"], settings: "/tmp/settings.json" };
  expect(asCommand(asked)).toEqual({ kind: "start-server" });
});

it("takes no command that is none", () => {
  const commands: Command[] = [
    { kind: "stop" },
    { kind: "warm", force: true, budget: "6 GiB" },
    { kind: "drop-profile" },
    { kind: "start-server" },
    { kind: "stop-server" },
    { kind: "place", placement: { gpuLayers: 3, cpuMoe: true } },
  ];
  for (const command of commands) expect(asCommand(structuredClone(command))).toEqual(command);
  for (const none of [
    null,
    "warm",
    {},
    { kind: "open", path: "/etc/passwd" },
    { kind: "place" },
    { kind: "place", placement: null },
    { kind: "place", placement: { gpuLayers: "3", cpuMoe: true } },
    { kind: "place", placement: { gpuLayers: Number.NaN, cpuMoe: true } },
    { kind: "warm" },
    { kind: "warm", force: true },
    { kind: "warm", force: true, budget: 6 },
    { kind: "warm", force: true, budget: "6".repeat(1000) },
    { kind: "profile", path: "/etc/passwd" },
  ]) {
    expect(asCommand(none)).toBeUndefined();
  }
});

describe("the utility process", () => {
  let warmer: WarmerProcess;
  beforeEach(async () => {
    warmer = await WarmerProcess.start(join(app, "dist/warmer.js"));
  });
  afterEach(async () => {
    await warmer.end();
    expect(warmer.stderr).toBe("");
  });

  async function open(path: string) {
    warmer.fromMain({ kind: "open", path });
    return warmer.until("idle", "failed");
  }

  async function warm(force = false) {
    warmer.fromWindow({ kind: "warm", force, budget: "" });
    return warmer.until("done", "skipped", "stopped", "failed");
  }

  it("says what is in a model, and where each tensor goes", async () => {
    expect((await open(moe)).status).toEqual({ state: "idle" });
    expect(warmer.model.name).toBe("größe.gguf");
    expect(warmer.model.tensors.every(({ place }) => place === "cpu")).toBe(true);
    expect(warmer.shares).toHaveLength(warmer.model.tensors.length);
    const { layers } = warmer.model;
    const placement = { gpuLayers: layers + 1, cpuMoe: true };
    warmer.fromWindow({ kind: "place", placement });
    await warmer.until("idle");
    expect(warmer.model.placement).toEqual(placement);
    const places = new Map(warmer.model.tensors.map(({ name, place }) => [name, place]));
    expect(places.get("blk.0.attn_q.weight")).toBe("gpu");
    expect(places.get("blk.0.ffn_up_exps.weight")).toBe("cpu");
    expect(places.get("token_embd.weight")).toBe("cpu");
  });

  it("warms, tells how far it is, and shows it in the map", looksAtPageCache, async () => {
    await open(moe);
    await evict([{ path: moe }]);
    const { status, messages } = await warm();
    expect(status.state).toBe("done");
    const done = messages.flatMap((message) =>
      message.kind === "status" && message.status.state === "warming"
        ? [message.status.bytesDone]
        : [],
    );
    expect(done.length).toBeGreaterThan(0);
    expect(done).toEqual(done.toSorted((one, other) => one - other));
    if (status.state !== "done") throw new Error(status.state);
    expect(status.residentAfter).toBeGreaterThan(mostOf(status.bytes));
    expect(warmer.shares.filter((share) => share === 1).length).toBeGreaterThan(
      mostOf(warmer.shares.length) - 1,
    );
  });

  it("leaves routed experts that do not fit to the engine", async () => {
    await open(huge);
    expect((await warm()).status).toMatchObject({ state: "done" });
    const { tensors } = warmer.model;
    const resident = tensors.reduce(
      (sum, { name, bytes }, at) =>
        name.includes("_exps") ? sum + bytes * (warmer.shares[at] ?? 1) : sum,
      0,
    );
    expect(resident).toBeLessThan(16 * 1024 ** 2);
  });

  it("stops, and can be started again", async () => {
    await open(moe);
    warmer.fromWindow({ kind: "warm", force: false, budget: "" });
    warmer.fromWindow({ kind: "stop" });
    expect((await warmer.until("stopped", "done", "failed")).status.state).toBe("stopped");
    expect((await warm()).status.state).toBe("done");
  });

  it("says what is wrong with a file, by code, and takes the next one", async () => {
    const cut = join(folder, "cut.gguf");
    await writeSyntheticModel({ kind: "dense", path: cut });
    truncateSync(cut, 200_000);
    expect((await open(cut)).status).toMatchObject({
      state: "failed",
      code: "PREFAULT_INVALID_MODEL",
    });
    expect((await open(join(folder, "absent.gguf"))).status).toMatchObject({
      code: "PREFAULT_NOT_FOUND",
    });
    expect((await open(moe)).status.state).toBe("idle");
  });

  it("takes a file that is no model of llama.cpp's, as a whole", async () => {
    const plain = join(folder, "plain.bin");
    writeFileSync(plain, Buffer.alloc(1_000_000, 7));
    await open(plain);
    expect(warmer.model.tensors).toMatchObject([{ bytes: 1_000_000, place: "cpu" }]);
    expect((await warm()).status.state).toBe("done");
  });
});
