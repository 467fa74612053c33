import { readFileSync } from "node:fs";
import { join } from "node:path";
import { evict, openModel, planPass, prefault, residency } from "prefault";
import { beforeAll, describe, expect, test } from "vitest";
import { fincore, hasFincore, writeDataFile } from "../helpers/data-file.ts";
import { evictAll } from "../helpers/page-cache.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { expectNearly, looksAtPageCache } from "../helpers/tolerance.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";

const MIB = 1024 ** 2;

describe.skipIf(process.platform !== "linux")("residency", () => {
  const folder = temporaryFolder();
  const path = join(folder, "weights.bin");
  beforeAll(() => void writeDataFile(path, 64 * MIB));

  test.skipIf(!hasFincore)(
    "agrees with fincore, and so does a report",
    looksAtPageCache,
    async () => {
      await evictAll(path);
      expectNearly((await residency(path)).residentBytes, fincore(path) ?? 0);
      const { residentBytesAfter } = await prefault(path, { log() {} });
      expectNearly(residentBytesAfter, fincore(path) ?? 0);
      expectNearly((await residency(path)).residentBytes, fincore(path) ?? 0);
    },
  );

  test("is told of every run as it was before the first", looksAtPageCache, async () => {
    const { paths } = await writeSyntheticModel({
      kind: "moe",
      path: join(folder, "two-runs.gguf"),
      targetBytes: 64 * MIB,
    });
    const model = await openModel(paths[0] ?? "");
    const plan = planPass(model, { gpuLayers: 0 });
    await evictAll(paths[0] ?? "");
    const { residentBytesBefore, runs = [] } = await prefault(plan, { log() {} });
    // The first brings pages of the second with its own: experts lie between what every token reads.
    expect(runs.map(({ ran }) => ran)).toEqual([true, true]);
    expect(runs.map((run) => run.residentBytesBefore)).toEqual([0, 0]);
    expect(residentBytesBefore).toBe(0);
  });

  test("draws a file as a map of 64 cells", looksAtPageCache, async () => {
    await evictAll(path);
    await prefault([{ path, offset: 16 * MIB, byteLength: 16 * MIB }], { log() {} });
    const map = (await residency([{ path }])).files[0]?.map ?? [];
    expect(map).toHaveLength(64);
    for (const [cell, share] of map.entries()) {
      if (cell >= 16 && cell < 32) expect(share, `cell ${cell}`).toBeGreaterThan(0.9);
      // What follows it may have been read ahead, by 8 MiB and more where the device is set so.
      else if (cell < 12 || cell >= 52) expect(share, `cell ${cell}`).toBeLessThan(0.5);
    }
  });

  test("gives a small file a cell for each page", looksAtPageCache, async () => {
    const small = writeDataFile(join(folder, "small"), 3 * 4096 + 1);
    readFileSync(small);
    expect((await residency(small)).files[0]?.map).toEqual([1, 1, 1, 1]);
  });

  test("tells of each tensor of a model", looksAtPageCache, async () => {
    const { paths, tensors } = await writeSyntheticModel({
      kind: "moe",
      path: join(folder, "model.gguf"),
      targetBytes: 20 * MIB,
    });
    const model = await openModel(paths[0] ?? "");
    await prefault(model, { log() {} });
    const found = await residency(model);
    expect(found.tensors.map(({ tensor, bytes }) => ({ tensor, bytes }))).toEqual(
      tensors.map(({ name, byteLength }) => ({ tensor: name, bytes: byteLength })),
    );
    const resident = found.tensors.reduce((sum, each) => sum + (each.residentBytes ?? 0), 0);
    expectNearly(
      resident,
      tensors.reduce((sum, { byteLength }) => sum + byteLength, 0),
    );
  });

  test("of nothing is nothing", async () => {
    expect(await residency([])).toEqual({
      bytes: 0,
      residentBytes: 0,
      files: [],
      tensors: [],
      failures: [],
      notes: [],
    });
  });
});

describe.skipIf(process.platform !== "linux")("evict", () => {
  const folder = temporaryFolder();
  const path = join(folder, "weights.bin");
  beforeAll(() => void writeDataFile(path, 64 * MIB));

  test("drops a file that was just written, without changing it", looksAtPageCache, async () => {
    const before = readFileSync(path);
    const report = await evict(path);
    expect(report.bytes).toBe(64 * MIB);
    expect(report.residentBytesAfter).toBeLessThan(2 * MIB);
    expectNearly(report.residentBytesBefore, 64 * MIB);
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  test("drops only the regions it is given", looksAtPageCache, async () => {
    readFileSync(path);
    await evict([{ path, offset: 0, byteLength: 32 * MIB }]);
    expect((await residency([{ path, byteLength: 32 * MIB }])).residentBytes).toBeLessThan(2 * MIB);
    expectNearly((await residency([{ path, offset: 32 * MIB }])).residentBytes, 32 * MIB);
  });

  test("fails for a file that is not there", async () => {
    await expect(evict(join(folder, "absent"))).rejects.toMatchObject({
      code: "PREFAULT_NOT_FOUND",
    });
  });
});
