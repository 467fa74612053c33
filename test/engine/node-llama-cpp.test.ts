import { existsSync } from "node:fs";
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { EngineOutcome, EngineTask } from "../fixtures/engine-load.ts";
import { runFixture } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { whyNoEngine } from "./engine.ts";

const MIB = 1024 ** 2;
const BYTES = 256 * MIB;
const LAYERS = 8;

const engine = fileURLToPath(
  new URL("../../build/engine/node_modules/node-llama-cpp/dist/index.js", import.meta.url),
);
const noEngine = existsSync(engine)
  ? undefined
  : "no engine in build/engine: run `npx tsx scripts/install-engine.ts`";
const noDevice = noEngine ?? (await whyNoEngine());

const folder = temporaryFolder();
const modelPath = join(folder, "model.gguf");
beforeAll(async () => {
  if (noEngine !== undefined) return;
  await writeSyntheticModel({ kind: "dense", path: modelPath, layers: LAYERS, targetBytes: BYTES });
});

function run(task: Partial<EngineTask>): Promise<EngineOutcome> {
  const { gpu = false } = task;
  const whole: EngineTask = {
    engine,
    modelPath,
    gpu,
    gpuLayers: 0,
    reports: 1,
    do: "load",
    ...task,
  };
  // A software GPU is a CPU to the engine, which takes it only when told to.
  const env = gpu === "vulkan" ? { GGML_VK_VISIBLE_DEVICES: "0" } : {};
  return runFixture<EngineOutcome>("engine-load.ts", [JSON.stringify(whole)], env);
}

function expectMerged(told: readonly number[]): void {
  expect(told).toEqual([...told].sort((a, b) => a - b));
  expect(told[0]).toBeGreaterThan(0);
  expect(told.at(-1)).toBe(1);
}

describe("node-llama-cpp on the CPU", () => {
  beforeEach(({ skip }) => skip(noEngine !== undefined, noEngine));

  test("loads a model with a prefault beside it, and generates", looksAtPageCache, async () => {
    const { size } = await stat(modelPath);
    const outcome = await run({});
    expect(outcome.error).toBeUndefined();
    expect(outcome).toMatchObject({ gpuLayers: 0, token: expect.any(Number) });
    expect(outcome.reports).toMatchObject([{ ran: true, label: "node-llama-cpp", failures: [] }]);
    expect(outcome.residentBytes).toBeGreaterThan(mostOf(size));
    expectMerged(outcome.told);
  });

  test("decides by itself, and the whole model is resident", async () => {
    const { size } = await stat(modelPath);
    const outcome = await run({ gpuLayers: "auto" });
    expect(outcome.gpuLayers).toBe(0);
    expect(outcome.reports).toMatchObject([{ ran: true, bytes: size }]);
  });

  test("has every layer, whatever was asked for, and what was missed is swept", async () => {
    const { gpuLayers, reports } = await run({ gpuLayers: "max", reports: 2 });
    expect(gpuLayers).toBe(0);
    expect(reports).toMatchObject([{ ran: true }, { ran: true }]);
    expect(reports[0]?.bytes).toBeLessThan(0.1 * BYTES);
    expect(reports[1]?.bytes).toBeGreaterThan(0.9 * BYTES);
  });

  test("fails with its own error when the model cannot be loaded", async () => {
    const broken = join(folder, "broken.gguf");
    await writeFile(broken, Buffer.concat([Buffer.from("GGUF"), Buffer.alloc(4096, 0xff)]));
    const { error, reports, token } = await run({ modelPath: broken });
    expect(error).not.toMatch(/prefault/i);
    expect(error).toBeDefined();
    expect(token).toBeUndefined();
    expect(reports).toHaveLength(1);
  });

  test("stops loading when its signal fires, and so does the sweep", async () => {
    const { error, reports, token } = await run({ do: "abort" });
    expect(error).toBe("Error: aborted by its caller");
    expect(token).toBeUndefined();
    expect(reports).toHaveLength(1);
  });

  test("goes on loading when another load beside it is aborted", async () => {
    const { error, token, reports } = await run({ do: "abort one of two" });
    expect(error).toBe("Error: aborted by its caller");
    expect(token).toEqual(expect.any(Number));
    expect(reports).toMatchObject([{ ran: true, failures: [] }]);
  });

  test(
    "has its own mapping completed in place after it was paged out",
    looksAtPageCache,
    async () => {
      const without = await run({ do: "first token after a page-out" });
      const completed = await run({ do: "first token after a page-out and a completion" });
      console.log(
        "first token of llama.cpp, minor and major faults: " +
          `${without.minorFaults} and ${without.majorFaults} after a page-out, ` +
          `${completed.minorFaults} and ${completed.majorFaults} after a completion`,
      );
      expect(without.mappedBytes).toBeLessThan(0.1 * without.mappingBytes);
      expect(completed.mappedBytes).toBeGreaterThan(mostOf(completed.mappingBytes));
      expect(completed.token).toBe(without.token);
      const faults = ({ minorFaults, majorFaults }: EngineOutcome) => minorFaults + majorFaults;
      // What is left are the pages of its buffers, the same in both.
      expect(faults(without) - faults(completed)).toBeGreaterThan(BYTES / (2 * MIB) / 2);
      expect(completed.majorFaults).toBeLessThan(0.1 * without.majorFaults + 8);
    },
  );
});

describe("node-llama-cpp with half of its layers on a GPU", () => {
  beforeEach(({ skip }) => skip(noDevice !== undefined, noDevice));

  test("loads a model with a prefault beside it, and generates", looksAtPageCache, async () => {
    const outcome = await run({ gpu: "vulkan", gpuLayers: LAYERS / 2 + 1 });
    expect(outcome.error).toBeUndefined();
    expect(outcome).toMatchObject({ gpuLayers: LAYERS / 2 + 1, token: expect.any(Number) });
    expect(outcome.reports).toMatchObject([{ ran: true, failures: [] }]);
    const [report] = outcome.reports;
    expect(report?.bytes).toBeGreaterThan(0.4 * BYTES);
    expect(report?.bytes).toBeLessThan(0.6 * BYTES);
    expect(report?.residentBytesAfter).toBeGreaterThan(mostOf(report?.bytes ?? 0));
    expectMerged(outcome.told);
  });
});
