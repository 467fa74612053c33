import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { prefault } from "prefault";
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { writeDataFile } from "../helpers/data-file.ts";
import { evictAll, expectResident, residentShare } from "../helpers/page-cache.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache } from "../helpers/tolerance.ts";

const MIB = 1024 ** 2;
const SIZE = 200 * MIB + 1234;
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

  describe("the kill switch", () => {
    test("at 0 touches nothing, and says so", async () => {
      vi.stubEnv("SHARPI_PREFAULT", "0");
      const lines: string[] = [];
      const report = await prefault(path, { log: (line) => lines.push(line) });
      expect(report).toMatchObject({ ran: false, reason: "disabled (SHARPI_PREFAULT=0)" });
      expect(lines).toEqual(["[prefault] Pre-fault disabled (SHARPI_PREFAULT=0)."]);
      expect(await residentShare({ path })).toBeLessThan(0.02);
    });

    test("at 1 forces", looksAtPageCache, async () => {
      vi.stubEnv("SHARPI_PREFAULT", "1");
      const report = await prefault([{ path, byteLength: MIB }], quiet);
      expect(report).toMatchObject({ ran: true, reason: "forced (SHARPI_PREFAULT=1)" });
      await expectResident({ path, byteLength: MIB });
    });

    test("can have another name, and then that one alone counts", async () => {
      vi.stubEnv("SHARPI_PREFAULT", "0");
      vi.stubEnv("MY_PREFAULT", "1");
      const named = { ...quiet, killSwitch: "MY_PREFAULT" };
      const regions = [{ path, byteLength: MIB }];
      expect((await prefault(regions, named)).reason).toBe("forced (MY_PREFAULT=1)");
      vi.stubEnv("MY_PREFAULT", "0");
      vi.stubEnv("SHARPI_PREFAULT", "1");
      expect((await prefault(regions, named)).reason).toBe("disabled (MY_PREFAULT=0)");
    });

    test("leaves no bytes alone even at 1", async () => {
      vi.stubEnv("SHARPI_PREFAULT", "1");
      expect(await prefault([], quiet)).toMatchObject({ ran: false, reason: "no mapped weights" });
    });
  });

  test.each(["fits-in-ram", "fits-in-free-ram"] as const)(
    "with the gate %s skips what exceeds the RAM, and touches nothing of it",
    async (gate) => {
      // Claims 8 TiB and takes none: to touch it would fill any machine.
      const huge = join(folder, "huge");
      writeFileSync(huge, "");
      truncateSync(huge, 2 ** 43);
      const report = await prefault([{ path: huge }], { ...quiet, gate });
      expect(report).toMatchObject({ ran: false, bytes: 2 ** 43 });
      expect(report.reason).toContain("exceeds");
      expect(await residentShare({ path: huge })).toBeLessThan(1e-6);
    },
  );

  test("is silent when there is nothing to do", async () => {
    const log = vi.fn();
    expect((await prefault([{ path, byteLength: 0 }], { log })).bytes).toBe(0);
    expect(log).not.toHaveBeenCalled();
  });
});
