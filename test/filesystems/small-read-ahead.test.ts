import { execFileSync } from "node:child_process";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { prefault, residency } from "prefault";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadShim } from "../../shims/index.ts";
import { returnArena, takeArena } from "../../src/arena/arena.ts";
import { PMD_BYTES } from "../../src/arena/layout.ts";
import { writeDataFile } from "../helpers/data-file.ts";
import { evictAll, expectResident } from "../helpers/page-cache.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache } from "../helpers/tolerance.ts";
import { image } from "./mount.ts";

const MIB = 1024 ** 2;
const BYTES = 96 * MIB;
const FOLIOS = BYTES / PMD_BYTES;
const shim = await loadShim();

/** Faults of filling the page tables of a mapping of the whole file: one for each folio. */
function faultsOfMapping(path: string): number {
  const fd = openSync(path, "r");
  const arena = takeArena(shim);
  try {
    arena.place({ arena: 0, start: PMD_BYTES, file: 0, offset: 0, byteLength: BYTES }, fd);
    const before = shim.faults();
    shim.populate(arena.base + BigInt(PMD_BYTES + arena.alignOffset), BYTES);
    const after = shim.faults();
    return after.minor + after.major - before.minor - before.major;
  } finally {
    returnArena(arena);
    closeSync(fd);
  }
}

describe.each(["ext4", "xfs"] as const)("a disk that reads 128 KiB ahead, with %s", (type) => {
  const mounted = image(type, "-q")(temporaryFolder());
  const folder = typeof mounted === "string" ? "" : mounted.folder;
  const path = join(folder, "weights");

  beforeAll(() => {
    if (folder === "") return;
    const source = execFileSync("findmnt", ["-no", "SOURCE", folder], { encoding: "utf8" }).trim();
    writeFileSync(`/sys/block/${basename(source)}/queue/read_ahead_kb`, "128");
    writeDataFile(path, BYTES);
    execFileSync("sync", ["-f", path]);
  });
  afterAll(() => {
    if (typeof mounted !== "string") mounted.unmount();
  });

  test.for(["populate", "touch"] as const)(
    "is filled in large folios, each by one fault, with strategy %s",
    looksAtPageCache,
    async (strategy, { skip }) => {
      if (typeof mounted === "string") skip(mounted);
      if (!shim.canPopulate) skip("this kernel has no MADV_POPULATE_READ");
      await evictAll(path);
      const options = { gate: "always", strategy, workers: 4, log() {} } as const;
      const report = await prefault([{ path }], options);
      expect(report).toMatchObject({ ran: true, failures: [] });
      await expectResident({ path });
      if (report.largeFolios !== true) skip(`${type} has no large folios here`);
      // A folio that is left with its mark is faulted twice.
      expect(faultsOfMapping(path)).toBeLessThan(1.5 * FOLIOS);
    },
  );

  test("is not read beside the regions", looksAtPageCache, async ({ skip }) => {
    if (typeof mounted === "string") skip(mounted);
    await evictAll(path);
    const half = { path, offset: 32 * MIB, byteLength: 32 * MIB };
    await prefault([half], { gate: "always", log() {} });
    await expectResident(half);
    const { residentBytes } = await residency([{ path }]);
    expect(residentBytes).toBeLessThan(40 * MIB);
  });
});
