import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { prefault } from "prefault";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { writeDataFile } from "../helpers/data-file.ts";
import { residentShare } from "../helpers/page-cache.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

// The four of the reference's twelve (`MmapPrefaultTests.cs`) that sweep, with files in place of
// buffers; the pure ones are in `test/pure/gate.test.ts`.
describe("the reference's cases that sweep", () => {
  const folder = temporaryFolder();
  const path = join(folder, "small");
  beforeAll(() => void writeDataFile(path, 2 * 1024 ** 2));
  const huge = join(folder, "huge");
  // Claims 8 TiB and takes none: to touch it would fill any machine.
  writeFileSync(huge, "");
  truncateSync(huge, 2 ** 43);
  const quiet = { log() {} };

  beforeEach(() => void vi.stubEnv("SHARPI_PREFAULT", undefined));
  afterEach(() => vi.unstubAllEnvs());

  test("small buffers: faults and reports their bytes", async () => {
    const regions = [
      { path, offset: 0, byteLength: 1024 ** 2 },
      { path, offset: 1024 ** 2, byteLength: 64 * 1024 },
    ];
    expect(await prefault(regions, { ...quiet, gate: "always" })).toMatchObject({
      ran: true,
      bytes: 1024 ** 2 + 64 * 1024,
    });
  });

  test("regions of no length: are passed over", async () => {
    const regions = [
      { path, offset: 4096, byteLength: 0 },
      { path, offset: 8192, byteLength: 4096 },
    ];
    expect(await prefault(regions, { ...quiet, gate: "always" })).toMatchObject({
      ran: true,
      bytes: 4096,
    });
  });

  test("disabled: skips without touching", async () => {
    vi.stubEnv("SHARPI_PREFAULT", "0");
    const report = await prefault([{ path: huge }], quiet);
    expect(report.ran).toBe(false);
    expect(report.reason).toContain("disabled");
  });

  test("auto, exceeds the RAM: skips without touching", async () => {
    for (const gate of ["fits-in-ram", "fits-in-free-ram"] as const) {
      const report = await prefault([{ path: huge }], { ...quiet, gate });
      expect(report.ran).toBe(false);
      expect(report.reason).toContain("exceeds");
      expect(report.bytes).toBe(2 ** 43);
    }
    expect(await residentShare({ path: huge })).toBeLessThan(1e-6);
  });
});
