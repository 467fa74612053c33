import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import type { PrefaultReport, Strategy } from "prefault";
import type { Guest, GuestCase } from "./guest.ts";
import { bytesInHugePages, hugePageBytes } from "./raw.ts";
import { disk, judgedBytes, MIB, makeCold, readsOf, writeFile } from "./system.ts";

/** Whole huge pages of every page size. */
const HUGE_BYTES = 128 * MIB;

const RAGGED_BYTES = 64 * MIB + 12_345;

/** Cold, then filled, as somebody else counts it. */
export const fillCases: readonly GuestCase[] = (["ext4", "xfs"] as const).flatMap((name) => [
  {
    name: `fills a file on ${name} in large requests, and tells large folios from small ones`,
    async run(guest) {
      const { kernel } = guest;
      const path = writeFile(join(disk(name), "auto"), HUGE_BYTES);
      makeCold(path);
      const before = readsOf(name);
      const report = await fill(guest, path, "auto");
      const after = readsOf(name);
      const readBytes = (after.sectors - before.sectors) * 512;
      const perRequest = Math.round(readBytes / (after.requests - before.requests));
      assert.ok(readBytes < 1.1 * HUGE_BYTES, `${readBytes} bytes were read for ${HUGE_BYTES}`);
      // A page at a time, a disk is slower by far.
      assert.ok(perRequest >= 64 * 1024, `${perRequest} bytes a request`);
      assert.equal(report.strategy, kernel.populate ? "populate" : "read");
      const { strategyReason, largeFolios } = report;
      if (!kernel.populate) {
        assert.equal(largeFolios, null);
        return { perRequest, strategyReason };
      }
      // What the next mapping gets of it: the engine's.
      const hugeMiB = bytesInHugePages(path) / MIB;
      const seen = { perRequest, largeFolios, hugeMiB, hugePageMiB: hugePageBytes() / MIB };
      const wanted = kernel.largeFolios.includes(name);
      // Nearly all or nearly none; where memory is fragmented a quarter may be smaller.
      assert.equal(hugeMiB * MIB >= 0.5 * HUGE_BYTES, wanted, JSON.stringify(seen));
      assert.equal(largeFolios, wanted, JSON.stringify(seen));
      return seen;
    },
  },
  ...(["touch", "read"] as const).map((strategy) => ({
    name: `fills a file on ${name} with strategy ${strategy}`,
    async run(guest: Guest) {
      const path = writeFile(join(disk(name), strategy), RAGGED_BYTES);
      makeCold(path);
      const report = await fill(guest, path, strategy);
      assert.equal(report.strategy, strategy);
      return { largeFolios: report.largeFolios, seconds: report.seconds };
    },
  })),
]);

/** Fills the file and looks that it is there, whole. */
async function fill(guest: Guest, path: string, strategy: Strategy): Promise<PrefaultReport> {
  const { prefault, residency } = guest.prefault;
  const report = await prefault([{ path }], { strategy, workers: 2, log() {} });
  assert.equal(report.error, undefined, String(report.error));
  const { pageBytes } = guest.kernel;
  const wholePages = Math.ceil(statSync(path).size / pageBytes) * pageBytes;
  assert.equal(judgedBytes(path), wholePages);
  assert.equal((await residency([{ path }])).residentBytes, wholePages);
  return report;
}

export const strategyCases: readonly GuestCase[] = [
  {
    name: "populates where the kernel can, and refuses to where it cannot",
    async run({ prefault: { prefault }, kernel }) {
      const path = writeFile(join(disk("ext4"), "populate"), 4 * MIB);
      const { error } = await prefault([{ path }], { strategy: "populate", workers: 1, log() {} });
      assert.equal(error?.code, kernel.populate ? undefined : "PREFAULT_UNSUPPORTED");
      return { message: error?.message };
    },
  },
];
