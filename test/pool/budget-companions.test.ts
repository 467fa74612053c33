import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  openModel,
  type PrefaultOptions,
  type PrefaultReport,
  planPass,
  prefault,
  type Target,
} from "prefault";
import { beforeAll, describe, expect, test } from "vitest";
import { type BudgetModel, cachedBytes, writeBudgetModel } from "../helpers/budget-model.ts";
import { hasFincore } from "../helpers/data-file.ts";
import { ggufBytes, stringEntry, tensorInfo } from "../helpers/gguf-bytes.ts";
import { evictAll } from "../helpers/page-cache.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { mostOf } from "../helpers/tolerance.ts";

const MIB = 1024 ** 2;
const quiet: PrefaultOptions = { gate: "always", log: () => {} };

describe.skipIf(process.platform !== "linux" || !hasFincore)("beside a model in a budget", () => {
  const folder = temporaryFolder();
  const mmproj = join(folder, "mmproj.gguf");
  const adapter = join(folder, "lora.gguf");
  const raw = join(folder, "raw.bin");
  const companions = [mmproj, adapter, raw];
  let model: BudgetModel;
  let coreBytes: number;

  beforeAll(async () => {
    model = await writeBudgetModel(join(folder, "model.gguf"));
    const { tensors } = await openModel(model.path);
    const experts = tensors.filter(({ name }) => name.includes("_exps"));
    coreBytes = model.bytes - experts.reduce((sum, { byteLength }) => sum + byteLength, 0);
    writeFileSync(mmproj, companion("mmproj", "v.patch_embd.weight"));
    writeFileSync(adapter, companion("adapter", "blk.0.attn_q.weight.lora_a"));
    writeFileSync(raw, Buffer.alloc(MIB, 7));
    execFileSync("sync", companions);
  });

  async function fill(budget: number, target: Target): Promise<PrefaultReport> {
    await evictAll(...model.paths, ...companions);
    return prefault(target, { ...quiet, budget });
  }
  const named = ({ runs = [] }: PrefaultReport) =>
    runs.map(({ name, label, ran, files }) => [name, label, ran, files[0]?.path]);

  test("files without layers are filled before any routed expert", async () => {
    // Given first, and filled after the model's core all the same.
    const report = await fill(coreBytes + 6 * MIB, [...companions, model.path]);
    expect(report.error).toBeUndefined();
    expect(named(report)).toEqual([
      ["core", "prefault", true, model.path],
      ["core", "mmproj", true, mmproj],
      ["core", "adapter", true, adapter],
      ["core", "prefault", true, raw],
      ["experts", "experts", true, model.path],
    ]);
    for (const path of companions) {
      expect(cachedBytes([path])).toBeGreaterThanOrEqual(mostOf(MIB));
    }
    expect(cachedBytes([...model.paths, ...companions])).toBeLessThanOrEqual(coreBytes + 6 * MIB);
  });

  test("plans of files without layers share the budget in the same order", async () => {
    const [planned, beside] = await Promise.all(
      [model.path, mmproj].map(async (path) => planPass(await openModel(path), { gpuLayers: 0 })),
    );
    if (planned === undefined || beside === undefined) throw new Error("no plan");
    const report = await fill(coreBytes + 4 * MIB, [planned, beside]);
    expect(named(report)).toEqual([
      ["core", "llama.cpp", true, model.path],
      ["core", "mmproj", true, mmproj],
      ["experts", "llama.cpp experts", true, model.path],
    ]);
  });

  test("a file for which there is no room is skipped, and said", async () => {
    const report = await fill(coreBytes + MIB, [model.path, mmproj]);
    expect(report.runs?.[1]).toMatchObject({
      label: "mmproj",
      ran: false,
      plannedBytes: 0,
      leftOutBytes: expect.any(Number),
      reason: expect.stringMatching(/^skipped: 1\.00 MiB exceed the .* left of the budget of/),
    });
    expect(report.reason).toContain("skipped: 1.00 MiB exceed");
  });
});

function companion(type: string, name: string): Buffer {
  return ggufBytes({
    entries: [stringEntry("general.type", type)],
    tensors: [tensorInfo({ name, shape: [BigInt(MIB / 4)] })],
    dataBytes: MIB,
  });
}
