import { linkSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { evict, openModel, type PrefaultReport, prefault, residency } from "prefault";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { loadShim } from "../../shims/index.ts";
import { writeDataFile } from "../helpers/data-file.ts";
import { descriptorsOf } from "../helpers/open-descriptors.ts";
import { evictAll, expectResident, residentShare } from "../helpers/page-cache.ts";
import { mappingsOf, threadCount, until } from "../helpers/process-facts.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { expectNearly, looksAtPageCache } from "../helpers/tolerance.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const SIZE = 200 * MIB + 1234;
const PAGES = 200 * MIB + 4096;
const quiet = { log() {} };

describe.skipIf(process.platform !== "linux")("prefault", () => {
  const folder = temporaryFolder();
  const path = join(folder, "weights.bin");
  beforeAll(() => void writeDataFile(path, SIZE));
  beforeEach(async () => {
    vi.stubEnv("SHARPI_PREFAULT", undefined);
    await evictAll(path);
  });
  afterEach(() => vi.unstubAllEnvs());

  const expectNothingLeft = async (threads: number) => {
    await until(() => threadCount() <= threads, "the threads are gone");
    expect(descriptorsOf(folder)).toBe(0);
    expect(mappingsOf(folder)).toEqual([]);
  };

  test("makes a file resident, and reports what it did", looksAtPageCache, async () => {
    const lines: string[] = [];
    const report = await prefault(path, { label: "LABEL", log: (line) => lines.push(line) });
    expect(report).toMatchObject({
      label: "LABEL",
      ran: true,
      reason: "auto",
      bytes: SIZE,
      regions: 1,
      failures: [],
      files: [{ path, bytes: SIZE }],
    });
    expect(report.error).toBeUndefined();
    // Extents begin 2 MiB into the arena, so the first chunk and the last are short ones.
    expect(report.chunks).toBeGreaterThanOrEqual(Math.ceil(SIZE / (32 * MIB)));
    expect(report.chunks).toBeLessThanOrEqual(Math.ceil(SIZE / (32 * MIB)) + 1);
    // One for each processor, and as many again where the device is slow.
    const most = Math.min(report.chunks, Math.max(2 * availableParallelism(), 2), 8);
    expect(report.workers).toBeLessThanOrEqual(most);
    expect(report.workers).toBeGreaterThanOrEqual(Math.min(most, availableParallelism()));
    expect(report.seconds).toBeGreaterThan(0);
    expect(report.gibPerSecond).toBeCloseTo(SIZE / GIB / report.seconds, 6);
    expect(report.minorFaults + report.majorFaults).toBeGreaterThan(0);
    expect(report.residentBytesBefore).toBeLessThan(0.02 * SIZE);
    expectNearly(report.residentBytesAfter, PAGES);
    expect(report.files[0]?.residentBytesAfter).toBe(report.residentBytesAfter);
    await expectResident({ path });
    const [, seconds, rate] =
      /^\[LABEL\] Pre-faulted 0\.20 GiB of CPU-resident weights in (\d+\.\d)s \((\d+\.\d) GiB\/s\)\.$/.exec(
        lines.join("\n"),
      ) ?? [];
    expect(seconds).toBe(report.seconds.toFixed(1));
    expect(rate).toBe(report.gibPerSecond.toFixed(1));
  });

  test.each(["populate", "touch", "read"] as const)(
    "makes every page resident with strategy %s, and leaves nothing behind",
    looksAtPageCache,
    async (strategy) => {
      await prefault([{ path, byteLength: 4096 }], quiet);
      const threads = threadCount();
      await evictAll(path);
      const report = await prefault(path, { ...quiet, strategy });
      expect(report).toMatchObject({
        ran: true,
        strategy,
        strategyReason: "asked for",
        failures: [],
      });
      await expectResident({ path });
      await expectNothingLeft(threads);
    },
  );

  test("fills only what it is asked to", looksAtPageCache, async () => {
    const region = { path, offset: 50 * MIB, byteLength: 100 * MIB };
    const report = await prefault([region], quiet);
    expect(report).toMatchObject({ ran: true, bytes: 100 * MIB, regions: 1 });
    await expectResident(region);
    // The device's read-ahead may go on past the end: by 8 MiB where it is set high.
    const beside = await residency([
      { path, byteLength: 50 * MIB },
      { path, offset: 150 * MIB },
    ]);
    expect(beside.residentBytes).toBeLessThan(20 * MIB);
  });

  test("counts overlapping regions once, and passes over those of no length", async () => {
    const report = await prefault(
      [
        { path, offset: 100, byteLength: 5000 },
        { path, offset: 8192, byteLength: 0 },
        { path, offset: 200, byteLength: 5000 },
        { path, offset: 100, byteLength: 5000 },
      ],
      quiet,
    );
    expect(report).toMatchObject({ bytes: 5100, regions: 1 });
  });

  test("fills several files, each in the report", looksAtPageCache, async () => {
    const paths = [3, 40, 1].map((mib, index) =>
      writeDataFile(join(folder, `part-${index}`), mib * MIB),
    );
    await evictAll(...paths);
    const report = await prefault(paths, quiet);
    expect(report.files.map((file) => file.path)).toEqual(paths);
    expect(report.bytes).toBe(44 * MIB);
    for (const [index, each] of report.files.entries()) {
      expectNearly(each.residentBytesAfter, each.bytes);
      await expectResident({ path: paths[index] ?? "" });
    }
  });

  test("fills a file once that is reached by several paths", async () => {
    const hard = join(folder, "hard");
    const symbolic = join(folder, "symbolic");
    linkSync(path, hard);
    symlinkSync(path, symbolic);
    const report = await prefault([path, hard, symbolic], quiet);
    unlinkSync(hard);
    unlinkSync(symbolic);
    expect(report.bytes).toBe(SIZE);
    expect(report.files.map((file) => file.path)).toEqual([path]);
  });

  test("fills all shards of a split model by any of them", looksAtPageCache, async () => {
    const { paths } = await writeSyntheticModel({
      kind: "moe",
      path: join(folder, "model.gguf"),
      targetBytes: 20 * MIB,
      shards: 3,
    });
    await evictAll(...paths);
    const report = await prefault(await openModel(paths[1] ?? ""), quiet);
    expect(report.files.map((file) => file.path)).toEqual(paths);
    for (const shard of paths) await expectResident({ path: shard });
  });

  test(
    "sweeps a file of more than 4 GiB whole, across arenas",
    looksAtPageCache,
    async ({ skip }) => {
      const bytes = 4.5 * GIB;
      const { availableBytes = 0 } = (await loadShim()).memory() ?? {};
      if (availableBytes < 1.5 * bytes) skip("needs 7 GiB of memory that is free or can be freed");
      const sparse = join(folder, "sparse");
      writeFileSync(sparse, "");
      truncateSync(sparse, bytes);
      try {
        let touched = 0;
        const report = await prefault(sparse, {
          ...quiet,
          gate: "always",
          onProgress({ bytesDone }) {
            touched = bytesDone;
          },
        });
        expect(report).toMatchObject({ ran: true, bytes, regions: 1, failures: [] });
        expect(report.chunks).toBeGreaterThanOrEqual(bytes / (32 * MIB));
        expect(touched).toBe(bytes);
        // It takes long enough for the system to page some of it out again.
        expect(report.residentBytesAfter).toBeGreaterThan(0.9 * bytes);
        const last = { path: sparse, offset: 4 * GIB, byteLength: 0.5 * GIB };
        expect(await residentShare(last)).toBeGreaterThan(0.9);
      } finally {
        await evict(sparse);
        unlinkSync(sparse);
      }
    },
  );

  describe("progress", () => {
    test.each(["populate", "touch", "read"] as const)(
      "only grows, and ends at the total with strategy %s",
      async (strategy) => {
        const seen: number[] = [];
        let total = 0;
        await prefault(path, {
          ...quiet,
          strategy,
          onProgress({ bytesDone, bytesTotal }) {
            seen.push(bytesDone);
            total = bytesTotal;
          },
        });
        expect(seen).toEqual([...seen].sort((a, b) => a - b));
        expect(seen.at(-1)).toBe(total);
        expect(total).toBe(PAGES);
      },
    );

    test("is each sweep's own when several run", async () => {
      const last = await Promise.all(
        [10, 50, 90, 130].map(async (mib) => {
          const seen: number[] = [];
          await prefault([{ path, offset: 0, byteLength: mib * MIB }], {
            ...quiet,
            onProgress: ({ bytesDone }) => seen.push(bytesDone),
          });
          expect(seen).toEqual([...seen].sort((a, b) => a - b));
          return seen.at(-1);
        }),
      );
      expect(last).toEqual([10, 50, 90, 130].map((mib) => mib * MIB));
    });
  });

  test("runs eight sweeps of overlapping regions at once, on a bounded number of threads", async () => {
    await prefault([{ path, byteLength: 4096 }], quiet);
    const before = threadCount();
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, threadCount());
    }, 2);
    const sweeps = Array.from({ length: 8 }, (_, index) =>
      prefault([{ path, offset: index * 10 * MIB, byteLength: 100 * MIB }], {
        ...quiet,
        workers: 8,
      }),
    );
    const reports: PrefaultReport[] = await Promise.all(sweeps);
    clearInterval(watch);
    for (const report of reports) {
      expect(report).toMatchObject({ ran: true, bytes: 100 * MIB, failures: [] });
      expect(report.error).toBeUndefined();
    }
    await expectResident({ path, byteLength: 170 * MIB });
    // Sixteen workers, however many sweeps; the rest is libuv's own pool.
    expect(most).toBeGreaterThan(before);
    expect(most).toBeLessThanOrEqual(before + 16 + 4);
    await expectNothingLeft(before);
  });

  describe("callbacks that throw", () => {
    test("become warnings, and the sweep goes on", async () => {
      const warnings: string[] = [];
      const note = (warning: Error) => warnings.push(warning.message);
      process.on("warning", note);
      const report = await prefault(path, {
        onProgress() {
          throw new Error("from onProgress");
        },
        log() {
          throw new Error("from log");
        },
      });
      await until(() => warnings.includes("from log"), "the warnings are there");
      process.off("warning", note);
      expect(report).toMatchObject({ ran: true, failures: [] });
      expect(new Set(warnings)).toEqual(new Set(["from onProgress", "from log"]));
      await expectResident({ path });
    });
  });
});
