import { truncateSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import {
  type FileRegion,
  openModel,
  type PrefaultOptions,
  type PrefaultReport,
  planPass,
  prefault,
  readProfile,
  recordProfile,
  residency,
  type Target,
  writeProfile,
} from "prefault";
import { beforeAll, describe, expect, test } from "vitest";
import {
  type BudgetModel,
  cachedBytes,
  writeBudgetModel,
  writeCsvProfile,
} from "../helpers/budget-model.ts";
import { hasFincore } from "../helpers/data-file.ts";
import { evictAll } from "../helpers/page-cache.ts";
import { pagesTouched, pageVector } from "../helpers/page-vector.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { mostOf } from "../helpers/tolerance.ts";

const KIB = 1024;
const MIB = 1024 ** 2;

const quiet: PrefaultOptions = { gate: "always", log: () => {} };

function runOf(report: PrefaultReport, name: "core" | "experts"): PrefaultReport {
  const run = report.runs?.find((each) => each.name === name);
  if (run === undefined) throw new Error(`no run ${name}: ${JSON.stringify(report.reason)}`);
  return run;
}

describe.skipIf(process.platform !== "linux" || !hasFincore)("a budget", () => {
  const folder = temporaryFolder();
  let model: BudgetModel;
  let profile: string;
  /** Bytes of what every token reads, headers included. */
  let coreBytes: number;

  beforeAll(async () => {
    model = await writeBudgetModel(join(folder, "model.gguf"));
    profile = join(folder, "profile.csv");
    writeCsvProfile(profile, model, 1.2, 0);
    const { tensors } = await openModel(model.path);
    coreBytes = model.bytes - sum(tensors.filter(({ name }) => name.includes("_exps")));
  });

  /** Fills from a cold cache. */
  async function fill(
    budget: PrefaultOptions["budget"],
    options: PrefaultOptions = {},
    target: Target = model.path,
    of: BudgetModel = model,
  ): Promise<PrefaultReport> {
    await evictAll(...of.paths);
    return prefault(target, { ...quiet, budget, ...options });
  }

  test("is never exceeded, whatever the model, the profile and the way of the plan", async () => {
    let number = 0;
    const cases = fc.record({
      kind: fc.constantFrom("moe", "moe-shared", "gdn-moe"),
      layers: fc.constantFrom(4, 8),
      experts: fc.constantFrom(4, 8, 32),
      expertFeedForward: fc.constantFrom(32, 96, 256, 768),
      shards: fc.constantFrom(1, 3),
      share: fc.double({ min: 0, max: 1.1, noNaN: true }),
      skew: fc.constantFrom(null, 0, 1, 2),
      isPlanned: fc.boolean(),
    } as const);
    const property = fc.asyncProperty(cases, async ({ share, skew, isPlanned, ...shape }) => {
      const path = join(folder, `random-${number++}.gguf`);
      const random = await writeBudgetModel(path, shape);
      const ranking = skew === null ? undefined : `${path}.csv`;
      if (ranking !== undefined) writeCsvProfile(ranking, random, skew ?? 0, number);
      const budget = Math.floor(share * random.bytes);
      const target = isPlanned
        ? planPass(await openModel(random.path), { gpuLayers: 99, cpuMoe: true })
        : random.path;
      const report = await fill(budget, { profile: ranking }, target, random);
      const cached = cachedBytes(random.paths);
      expect(report.error).toBeUndefined();
      expect(report.budgetBytes).toBe(budget);
      const planned = plannedBytes(report);
      expect(cached).toBeLessThanOrEqual(Math.max(budget, headerRead(random)));
      expect(cached).toBeGreaterThanOrEqual(mostOf(planned));
      for (const { plannedBytes: chosen = 0, bytes } of report.runs ?? []) {
        expect(bytes).toBeGreaterThanOrEqual(chosen);
      }
    });
    await fc.assert(property, { seed: 13, numRuns: 16, endOnFailure: true });
  });

  test("reads the chosen slices and not a page beside them", async () => {
    const report = await fill(coreBytes + 3 * MIB, { profile });
    const { experts } = runOf(report, "experts");
    expect(experts?.whole).toBeGreaterThan(4);
    expect(experts?.whole).toBeLessThan(experts?.total ?? 0);
    const seen = pageVector(model.path);
    const chosen = await hottest(experts?.whole ?? 0);
    const opened = await openModel(model.path);
    const wanted = [
      { offset: 0, byteLength: headerRead(model) },
      ...opened.tensors.filter(({ name }) => !name.includes("_exps")),
      ...chosen.flatMap(({ layer, expert }) => slicesOf(opened, layer, expert)),
    ];
    const expected = pagesTouched(model.bytes, wanted);
    const stray = seen.findIndex((page, index) => page === 1 && expected[index] === 0);
    expect(stray, "a resident page that no slice touches").toBe(-1);
    const resident = seen.filter((page, index) => page === 1 && expected[index] === 1).length;
    expect(resident).toBeGreaterThanOrEqual(mostOf(expected.filter(Boolean).length));
  });

  test("goes to what every token reads first", async () => {
    const report = await fill(coreBytes + 512 * KIB, { profile });
    expect(runOf(report, "core")).toMatchObject({ leftOutBytes: 0, ran: true });
    expect(runOf(report, "experts")).toMatchObject({
      plannedBytes: 0,
      experts: { total: 64, whole: 0, coverage: 0 },
    });
    expect(report.notes.join()).toMatch(/below one token's cycle/i);
    expect(cachedBytes([model.path])).toBeLessThanOrEqual(coreBytes + 512 * KIB);

    const short = await fill(Math.floor(coreBytes / 2), { profile });
    expect(runOf(short, "core").leftOutBytes).toBeGreaterThan(0);
    expect(runOf(short, "experts").plannedBytes).toBe(0);
  });

  test("is reported with what was planned, left out, and the coverage", async () => {
    const budget = coreBytes + 6 * MIB;
    const report = await fill(budget, { profile });
    const [core, experts] = [runOf(report, "core"), runOf(report, "experts")];
    expect(report.budgetBytes).toBe(budget);
    expect(report.runs?.map(({ name }) => name)).toEqual(["core", "experts"]);
    expect(core.plannedBytes).toBe(coreBytes);
    const expertBytes = model.bytes - coreBytes;
    expect((experts.plannedBytes ?? 0) + (experts.leftOutBytes ?? 0)).toBe(expertBytes);
    expect(experts.experts?.total).toBe(64);
    const share = (experts.plannedBytes ?? 0) / expertBytes;
    expect(experts.experts?.coverage).toBeGreaterThan(share + 0.1);
    expect(experts.strategy).toBe("read");
    // The sum is of no run, and has none of a run's own words.
    expect(report).not.toHaveProperty("name");
    expect(report).not.toHaveProperty("experts");
  });

  test("without a profile takes experts in the order of the file", async () => {
    const report = await fill(coreBytes + 6 * MIB);
    expect(runOf(report, "experts").experts?.coverage).toBeNull();
    const [first, last] = await Promise.all([0, 3].map((layer) => residentOf(layer, 0)));
    expect(first).toBeGreaterThan(0.9);
    expect(last).toBeLessThan(0.1);
  });

  test("of nothing fills nothing", async () => {
    const report = await fill(0, { profile });
    expect(report.error).toBeUndefined();
    expect(report.runs?.map(({ plannedBytes }) => plannedBytes)).toEqual([0, 0]);
    expect(report.ran).toBe(false);
  });

  test("auto is what the gate allows, less the reserve", async () => {
    const little = await fill("auto", { profile, gate: undefined, reserveBytes: 100 * MIB });
    const more = await fill("auto", { profile, gate: undefined, reserveBytes: 200 * MIB });
    const difference = (little.budgetBytes ?? 0) - (more.budgetBytes ?? 0);
    // What others take between the two is not ours to say.
    expect(Math.abs(difference - 100 * MIB)).toBeLessThan(1024 * MIB);
    expect(little.runs?.every(({ leftOutBytes }) => leftOutBytes === 0)).toBe(true);

    const none = await fill("auto", { profile, reserveBytes: Number.MAX_SAFE_INTEGER });
    expect(none.budgetBytes).toBe(0);
    expect(none.ran).toBe(false);
  });

  test("is auto where there is a profile and nothing else", async () => {
    const report = await fill(undefined, { profile });
    expect(report.budgetBytes).toBeGreaterThan(model.bytes);
    expect(report.error).toBeUndefined();
  });

  test("is shared by several models", async () => {
    const other = await writeBudgetModel(join(folder, "other.gguf"), { seed: 2 });
    const budget = Math.floor(1.3 * model.bytes);
    const both = { ...model, paths: [model.path, other.path] };
    const report = await fill(budget, {}, both.paths, both);
    expect(report.error).toBeUndefined();
    expect(cachedBytes(both.paths)).toBeLessThanOrEqual(budget);
    expect(cachedBytes([other.path])).toBeGreaterThan(0);
    expect(report.runs?.map(({ name }) => name)).toEqual(["core", "experts", "core", "experts"]);
  });

  test("gives a dense model's layers in the order of inference", async () => {
    const dense = await writeBudgetModel(join(folder, "dense.gguf"), { kind: "dense", layers: 8 });
    const budget = Math.floor(dense.bytes / 2);
    const report = await fill(budget, {}, dense.path, dense);
    expect(report.runs?.map(({ name }) => name)).toEqual(["core"]);
    expect(report.notes.join()).toMatch(/only the first token gains/);
    expect(cachedBytes(dense.paths)).toBeLessThanOrEqual(budget);
    const { tensors } = await residency(dense.path);
    const shares = Array.from({ length: 8 }, (_, layer) => {
      const of = tensors.filter(({ tensor }) => tensor.startsWith(`blk.${layer}.`));
      return sum(of.map((each) => ({ byteLength: each.residentBytes ?? 0 }))) / bytesOf(of);
    });
    const begun = shares.filter((share) => share > 0.9).length;
    expect(begun).toBeGreaterThan(1);
    expect(begun).toBeLessThan(8);
    // No layer is there that comes after one that is not.
    expect(shares.slice(begun + 1).every((share) => share < 0.1)).toBe(true);
    const embedding = tensors.find(({ tensor }) => tensor.startsWith("token_embd"));
    expect(embedding?.residentBytes).toBeGreaterThanOrEqual(mostOf(embedding?.bytes ?? 0));
  });

  test("skips a file of no known format that is larger, and says so", async () => {
    const path = join(folder, "raw.bin");
    writeFileSync(path, "not a model");
    truncateSync(path, 4 * MIB);
    const report = await prefault(path, { ...quiet, budget: MIB });
    expect(report).toMatchObject({ ran: false, budgetBytes: MIB });
    expect(report.reason).toBe("skipped: 4.00 MiB exceed the budget of 1.00 MiB");
    expect(cachedBytes([path])).toBeLessThanOrEqual(MIB);

    const fits = await prefault(path, { ...quiet, budget: 5 * MIB });
    expect(fits).toMatchObject({ ran: true, budgetBytes: 5 * MIB });
  });

  test("skips regions that are larger than it, too", async () => {
    const regions: FileRegion[] = [{ path: model.path, offset: 0, byteLength: 2 * MIB }];
    const report = await fill(MIB, {}, regions);
    expect(report.ran).toBe(false);
    expect(report.reason).toMatch(/exceed the budget of 1\.00 MiB/);
  });

  test("is nothing to a disabled sweep", async () => {
    await evictAll(...model.paths);
    process.env["PREFAULT"] = "0";
    try {
      const report = await prefault(model.path, { ...quiet, budget: 6 * MIB, profile });
      expect(report).toMatchObject({ ran: false, reason: "disabled (PREFAULT=0)" });
      expect(cachedBytes(model.paths)).toBe(0);
    } finally {
      delete process.env["PREFAULT"];
    }
  });

  test("is not exceeded by a forced sweep", async () => {
    process.env["PREFAULT"] = "1";
    try {
      const budget = coreBytes + 4 * MIB;
      const report = await fill(budget, { profile, gate: "fits-in-free-ram" });
      expect(report.reason).toMatch(/forced/);
      expect(cachedBytes(model.paths)).toBeLessThanOrEqual(budget);
    } finally {
      delete process.env["PREFAULT"];
    }
  });

  test.for([-1, 1.5, Number.NaN, "24G"])("of %s is refused", async (budget) => {
    const report = await prefault(model.path, { ...quiet, budget: budget as number });
    expect(report.error).toMatchObject({ code: "PREFAULT_INVALID_OPTION" });
    expect(report.error?.message).toMatch(/^budget must be/);
  });

  describe("with a profile", () => {
    test("takes it as a path or read, to the same end", async () => {
      const byPath = await fill(coreBytes + 6 * MIB, { profile });
      const seen = pageVector(model.path);
      const byObject = await fill(coreBytes + 6 * MIB, { profile: await readProfile(profile) });
      expect(runOf(byObject, "experts").experts).toEqual(runOf(byPath, "experts").experts);
      const again = pageVector(model.path);
      const different = seen.filter((page, index) => page !== again[index]).length;
      expect(different).toBeLessThan(0.05 * seen.length);
    });

    test("refuses one of another model, and fills nothing", async () => {
      const other = join(folder, "of-another.csv");
      writeCsvProfile(other, { ...model, experts: 32 }, 1, 0);
      const report = await fill(6 * MIB, { profile: other });
      expect(report).toMatchObject({ ran: false, error: { code: "PREFAULT_INVALID_OPTION" } });
      expect(report.error?.message).toMatch(
        /of-another\.csv is not a usable profile.*another model/,
      );
      expect(cachedBytes(model.paths)).toBeLessThan(6 * MIB);
      await expect(
        prefault(model.path, { ...quiet, profile: other, onError: "throw" }),
      ).rejects.toMatchObject({ code: "PREFAULT_INVALID_OPTION" });
    });

    test.for([
      ["that is not there", "missing.csv", "PREFAULT_NOT_FOUND"],
      ["that is a model", "model.gguf", "PREFAULT_INVALID_OPTION"],
    ] as const)("refuses one %s", async ([, name, code]) => {
      const report = await prefault(model.path, { ...quiet, profile: join(folder, name) });
      expect(report.error).toMatchObject({ code });
    });

    test("recorded once, gives the same experts back after an eviction", async () => {
      const budget = coreBytes + 6 * MIB;
      const before = await fill(budget, { profile });
      const recorded = await recordProfile(model.path, { forMs: 0 });
      expect(recorded).toMatchObject({ samples: 1, layers: 4, experts: 16, source: "json" });
      const held = new Set(experts(recorded.weights, (share) => share > 0.9));
      expect(held.size).toBeGreaterThanOrEqual(
        mostOf(runOf(before, "experts").experts?.whole ?? 0),
      );

      const path = join(folder, "warm.json");
      writeFileSync(path, writeProfile(recorded));
      const after = await fill(budget, { profile: path });
      expect(after.error).toBeUndefined();
      const again = await recordProfile(model.path, { forMs: 0 });
      const back = new Set(experts(again.weights, (share) => share > 0.9));
      const kept = [...held].filter((each) => back.has(each)).length;
      expect(kept).toBeGreaterThanOrEqual(0.9 * held.size);
      expect(await readFile(path, "utf8")).toBe(writeProfile(recorded));
    });

    test("keeps what a recording saw before it was aborted", async () => {
      const controller = new AbortController();
      let looks = 0;
      const recorded = await recordProfile(model.path, {
        everyMs: 10,
        signal: controller.signal,
        onSample: (samples) => {
          looks = samples;
          if (samples === 3) controller.abort();
        },
      });
      expect(recorded.samples).toBe(3);
      expect(looks).toBe(3);
      await expect(
        recordProfile(model.path, { signal: AbortSignal.abort() }),
      ).rejects.toMatchObject({ code: "PREFAULT_ABORTED" });
    });

    test("cannot be recorded of a dense model", async () => {
      const dense = await writeBudgetModel(join(folder, "no-experts.gguf"), { kind: "dense" });
      await expect(recordProfile(dense.path, { forMs: 0 })).rejects.toMatchObject({
        code: "PREFAULT_INVALID_MODEL",
        message: expect.stringContaining("no routed experts"),
      });
    });
  });

  test("counts a file whose length was not given", async () => {
    const path = join(folder, "plain.bin");
    writeFileSync(path, Buffer.alloc(8 * MIB, 1));
    const report = await prefault([{ path }], { log() {}, budget: MIB });
    expect(report).toMatchObject({ ran: false, reason: expect.stringContaining("the budget") });
    expect(await prefault([{ path }], { log() {} })).not.toMatchObject({ strategy: "read" });
  });

  /** The hottest experts by the profile of this file: bytes are the same within a layer, ties by layer. */
  async function hottest(count: number): Promise<{ layer: number; expert: number }[]> {
    const { weights } = await readProfile(profile);
    const all = weights.flatMap((row, layer) =>
      Array.from(row, (weight, expert) => ({ weight, layer, expert })),
    );
    return all
      .sort((a, b) => b.weight - a.weight || a.layer - b.layer || a.expert - b.expert)
      .slice(0, count);
  }

  async function residentOf(layer: number, expert: number): Promise<number> {
    const opened = await openModel(model.path);
    const regions = slicesOf(opened, layer, expert).map((slice) => ({
      path: model.path,
      ...slice,
    }));
    const { residentBytes, bytes } = await residency(regions);
    return (residentBytes ?? Number.NaN) / bytes;
  }
});

type Opened = Awaited<ReturnType<typeof openModel>>;

/** By the rule of GGUF: an expert is one part of as many as there are, in the stacked tensor. */
function slicesOf({ tensors }: Opened, layer: number, expert: number) {
  return tensors
    .filter(({ name }) => name.startsWith(`blk.${layer}.`) && name.includes("_exps"))
    .map(({ offset, byteLength, shape }) => {
      const slice = byteLength / (shape.at(-1) ?? 1);
      return { offset: offset + expert * slice, byteLength: slice };
    });
}

/** To read a header brings so much of each file along, whatever the budget. */
function headerRead({ paths }: BudgetModel): number {
  return 256 * KIB * paths.length;
}

function experts(weights: readonly Float64Array[], is: (share: number) => boolean): string[] {
  return weights.flatMap((row, layer) =>
    Array.from(row.keys())
      .filter((expert) => is(row[expert] ?? 0))
      .map((expert) => `${layer}.${expert}`),
  );
}

function bytesOf(tensors: readonly { readonly bytes: number }[]): number {
  return tensors.reduce((total, { bytes }) => total + bytes, 0);
}

function sum(values: readonly { readonly byteLength: number }[]): number {
  return values.reduce((total, { byteLength }) => total + byteLength, 0);
}

function plannedBytes({ runs = [] }: PrefaultReport): number {
  return runs.reduce((total, { plannedBytes = 0 }) => total + plannedBytes, 0);
}
