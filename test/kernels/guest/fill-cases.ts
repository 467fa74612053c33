import assert from "node:assert/strict";
import { join } from "node:path";
import type { GuestCase } from "./guest.ts";
import { disk, judgedBytes, MIB, makeCold, writeFile } from "./system.ts";

const BYTES = 64 * MIB + 12_345;

const STRATEGIES = ["auto", "populate", "touch", "read"] as const;

/** Cold, then filled, as somebody else counts it. */
export const fillCases: readonly GuestCase[] = (["ext4", "xfs"] as const).flatMap((name) =>
  STRATEGIES.map((strategy) => ({
    name: `fills a file on ${name} with strategy ${strategy}`,
    async run({ prefault: { prefault, residency }, kernel }) {
      const path = writeFile(join(disk(name), strategy), BYTES);
      makeCold(path);
      const logged: string[] = [];
      const options = { strategy, log: (line: string) => logged.push(line) };
      const report = await prefault([{ path }], options);
      if (strategy === "populate" && !kernel.populate) {
        assert.equal(report.error?.code, "PREFAULT_UNSUPPORTED");
        return { error: report.error?.message };
      }
      assert.equal(report.error, undefined);
      const wholePages = Math.ceil(BYTES / kernel.pageBytes) * kernel.pageBytes;
      assert.equal(judgedBytes(path), wholePages);
      assert.equal((await residency([{ path }])).residentBytes, wholePages);
      const { strategy: used, strategyReason, largeFolios, workers, seconds } = report;
      return { used, strategyReason, largeFolios, workers, seconds, logged };
    },
  })),
);
