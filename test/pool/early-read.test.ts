import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { type PrefaultOptions, prefault } from "prefault";
import { describe, expect, test } from "vitest";
import { writeDataFile } from "../helpers/data-file.ts";
import { evictAll, expectResident, residentShare } from "../helpers/page-cache.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache } from "../helpers/tolerance.ts";

const MIB = 1024 ** 2;

describe.skipIf(process.platform !== "linux")("while its threads start, a sweep that reads", () => {
  const folder = temporaryFolder();
  const path = writeDataFile(join(folder, "weights"), 64 * MIB);
  const worker = import.meta.resolve("prefault/worker");

  function workerThat(does: string): URL {
    const script = join(folder, `${does.length}.mjs`);
    writeFileSync(script, `${does}\nexport { default } from ${JSON.stringify(worker)};`);
    return pathToFileURL(script);
  }

  const slow: PrefaultOptions = {
    strategy: "read",
    chunkBytes: MIB,
    workerUrl: workerThat("await new Promise((done) => setTimeout(done, 1500));"),
    log() {},
  };

  test("reads on the calling thread already, and says so", looksAtPageCache, async () => {
    await evictAll(path);
    let bytesDone = 0;
    const onProgress = (progress: { bytesDone: number }) => {
      bytesDone = progress.bytesDone;
    };
    const sweep = prefault([{ path }], { ...slow, onProgress });
    await sleep(1000);
    expect(bytesDone).toBeGreaterThan(MIB);
    expect(await residentShare({ path })).toBeGreaterThan(0.05);
    const report = await sweep;
    expect(report).toMatchObject({ ran: true, strategy: "read", failures: [] });
    expect(report.workers).toBeGreaterThan(0);
    expect(bytesDone).toBe(64 * MIB);
    await expectResident({ path });
  });

  test("can be aborted", async () => {
    await evictAll(path);
    const report = await prefault([{ path }], { ...slow, signal: AbortSignal.timeout(300) });
    expect(report.error).toMatchObject({ code: "PREFAULT_ABORTED" });
  });

  test("still says why when no thread can be started", async () => {
    const workerUrl = workerThat("process.exit(1);");
    const report = await prefault([{ path }], { ...slow, workerUrl });
    expect(report).toMatchObject({ ran: true, workers: 0, failures: [] });
    expect(report.error).toBeUndefined();
    expect(report.strategyReason).toContain("no worker thread could be started");
  });
});
