import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { prefault } from "prefault";
import { describe, expect, test } from "vitest";
import { loadShim } from "../../shims/index.ts";
import { writeDataFile } from "../helpers/data-file.ts";
import { evictAll, expectResident, residentShare } from "../helpers/page-cache.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache } from "../helpers/tolerance.ts";

const MIB = 1024 ** 2;
const { canPopulate, name: system } = await loadShim();

describe.skipIf(system !== "linux" || !canPopulate)("while its threads start, a sweep", () => {
  const folder = temporaryFolder();
  const path = writeDataFile(join(folder, "weights"), 64 * MIB);

  /** A worker like the package's own, whose threads take long to start. */
  const slow = join(folder, "slow-worker.mjs");
  const worker = import.meta.resolve("prefault/worker");
  writeFileSync(
    slow,
    `await new Promise((done) => setTimeout(done, 1500));
     export { default } from ${JSON.stringify(worker)};`,
  );
  const workerUrl = pathToFileURL(slow);

  test("has the device read already", looksAtPageCache, async () => {
    await evictAll(path);
    let bytesDone = 0;
    const sweep = prefault([{ path }], {
      workerUrl,
      log() {},
      onProgress: (progress) => {
        bytesDone = progress.bytesDone;
      },
    });
    await sleep(1000);
    const share = await residentShare({ path });
    // Nothing counts as done before a worker has touched it.
    expect(bytesDone).toBe(0);
    expect(share).toBeGreaterThan(0.05);
    const report = await sweep;
    expect(report).toMatchObject({ ran: true, untouchedBytes: 0, failures: [] });
    await expectResident({ path });
  });

  test("can be aborted", async () => {
    await evictAll(path);
    const signal = AbortSignal.timeout(300);
    const report = await prefault([{ path }], { workerUrl, signal, log() {} });
    expect(report.error).toMatchObject({ code: "PREFAULT_ABORTED" });
  });
});
