import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { openModel } from "../../src/model/open-model.ts";
import { type ModelPlan, planPass } from "../../src/passes/index.ts";
import { AutoProfile, autoProfilePath } from "../../src/server/auto-profile.ts";
import { writeBudgetModel } from "../helpers/budget-model.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

const EVERY_MS = 20;

// Recording asks what is resident of a file that nobody has mapped.
describe.skipIf(process.platform !== "linux")("a profile that is recorded by itself", () => {
  const folder = temporaryFolder();
  let plan: ModelPlan;
  let path: string;
  let states = 0;

  beforeAll(async () => {
    const { path: modelPath } = await writeBudgetModel(join(folder, "model.gguf"));
    plan = planPass(await openModel(modelPath), {});
  });

  beforeEach(() => {
    vi.stubEnv("XDG_STATE_HOME", join(folder, `state-${states++}`));
    path = autoProfilePath(plan.model);
    return () => {
      vi.unstubAllEnvs();
    };
  });

  async function opened(): Promise<AutoProfile> {
    const auto = await AutoProfile.open([plan]);
    if (auto === null) throw new Error("the model has experts");
    return auto;
  }

  /** Records until so many looks were made, at least. */
  async function recorded(auto: AutoProfile, looks: number): Promise<void> {
    const controller = new AbortController();
    const recording = auto.record(controller.signal, EVERY_MS);
    setTimeout(() => controller.abort(), EVERY_MS * (looks + 1) + 200);
    await recording;
  }

  const inFolder = () => readdirSync(dirname(path));
  const samples = () => JSON.parse(readFileSync(path, "utf8")).samples;

  test("says at the first start where it will be, and writes nothing yet", async () => {
    const auto = await opened();
    expect(auto.profile).toBeUndefined();
    expect(auto.sentence).toBe(`the use of experts will be recorded in ${path}`);
    expect(() => inFolder()).toThrow("ENOENT");
  });

  test("is written when the recording ends, and read at the next start", async () => {
    await recorded(await opened(), 3);
    expect(inFolder()).toHaveLength(1);
    const looks = samples();
    expect(looks).toBeGreaterThanOrEqual(1);
    const next = await opened();
    expect(next.profile).toMatchObject({ samples: looks });
    expect(next.sentence).toBe(`the use of experts was recorded in ${path}, ${looks} looks`);
  });

  test("counts half at the next start, beside what is seen then", async () => {
    mkdirSync(dirname(path), { recursive: true });
    await recorded(await opened(), 3);
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replace(/"samples":\s*[\d.]+/, '"samples": 1000'));
    await recorded(await opened(), 1);
    expect(samples()).toBeGreaterThan(500);
    expect(samples()).toBeLessThan(900);
    expect(inFolder()).toHaveLength(1);
  });

  test("is not written when nothing was looked at, and what was there stays", async () => {
    await recorded(await opened(), 1);
    const before = readFileSync(path, "utf8");
    for (const isAborted of [true, false]) {
      const controller = new AbortController();
      if (isAborted) controller.abort();
      const recording = (await opened()).record(controller.signal, isAborted ? EVERY_MS : 60_000);
      controller.abort();
      await recording;
    }
    expect(readFileSync(path, "utf8")).toBe(before);
  });

  test("ends without an error at whatever moment it is told to", async () => {
    for (let round = 0; round < 30; round++) {
      const controller = new AbortController();
      const recording = (await opened()).record(controller.signal, 1);
      setTimeout(() => controller.abort(), round / 5);
      await expect(recording).resolves.toBeUndefined();
    }
  });

  test.each([
    ["is no profile", "somebody's notes"],
    ["is empty", ""],
    ["is of another model", '{"kind":"prefault-profile"}'],
  ])("begins anew when what is there %s", async (_, text) => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    const auto = await opened();
    expect(auto.profile).toBeUndefined();
    expect(auto.sentence).toMatch(/will be recorded in .* \(what is there is of no use: .+\)$/);
    await recorded(auto, 1);
    expect(samples()).toBeGreaterThanOrEqual(1);
  });

  test("is of no model without routed experts on the CPU", async () => {
    const dense = await writeBudgetModel(join(folder, "dense.gguf"), { kind: "dense" });
    const model = await openModel(dense.path);
    expect(await AutoProfile.open([planPass(model, {})])).toBeNull();
    expect(await AutoProfile.open([planPass(plan.model, { gpuLayers: 99 })])).toBeNull();
    expect(await AutoProfile.open([])).toBeNull();
  });

  test("fails with the system's error where it cannot be written, and leaves no other file", async () => {
    mkdirSync(path, { recursive: true });
    const auto = await AutoProfile.open([plan]).catch((error: unknown) => error);
    expect(auto).toBeInstanceOf(AutoProfile);
    await expect(recorded(auto as AutoProfile, 1)).rejects.toMatchObject({ code: "EISDIR" });
    expect(inFolder()).toHaveLength(1);
  });
});
