import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findMappings, mapModel, prefault } from "prefault";
import { afterEach, describe, expect, test } from "vitest";
import { type ForeignMapping, mapForeign } from "../fixtures/foreign-mapping.ts";
import { writeDataFile } from "../helpers/data-file.ts";
import { evictAll, expectResident } from "../helpers/page-cache.ts";
import { onLinux } from "../helpers/platform.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache } from "../helpers/tolerance.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";

const BYTES = 192 * 1024 ** 2;
const how = { gate: "always", log() {} } as const;

onLinux("prefault where an engine in the same process has mapped the file", () => {
  const folder = temporaryFolder();
  const path = writeDataFile(join(folder, "weights"), BYTES);
  let mapping: ForeignMapping | undefined;
  afterEach(() => {
    mapping?.unmap();
    mapping = undefined;
  });

  test("fills all of it without worker threads", looksAtPageCache, async () => {
    await evictAll(path);
    mapping = mapForeign(path, BYTES);
    const report = await prefault(path, how);
    expect(report).toMatchObject({ ran: true, workers: 0, failures: [] });
    expect(report.error).toBeUndefined();
    await expectResident({ path });
  });

  test("fills with the workers that are asked for", looksAtPageCache, async () => {
    await evictAll(path);
    mapping = mapForeign(path, BYTES);
    expect(await prefault(path, { ...how, workers: 2 })).toMatchObject({ ran: true, workers: 2 });
    await expectResident({ path });
  });

  test("fills all of it where the engine maps it meanwhile", looksAtPageCache, async () => {
    await evictAll(path);
    const filling = prefault(path, { ...how, workers: 1 });
    await sleep(20);
    mapping = mapForeign(path, BYTES);
    expect(await filling).toMatchObject({ ran: true, workers: 1, failures: [] });
    await expectResident({ path });
  });

  test("counts the progress up to all of it", looksAtPageCache, async () => {
    await evictAll(path);
    mapping = mapForeign(path, BYTES);
    const seen: number[] = [];
    await prefault(path, { ...how, onProgress: ({ bytesDone }) => void seen.push(bytesDone) });
    expect(seen.at(-1)).toBe(BYTES);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  test("can be aborted, and leaves the mapping to the engine", looksAtPageCache, async () => {
    await evictAll(path);
    mapping = mapForeign(path, BYTES);
    const stop = new AbortController();
    const onProgress = ({ bytesDone }: { bytesDone: number }) => {
      if (bytesDone > 0) stop.abort();
    };
    const { error } = await prefault(path, { ...how, onProgress, signal: stop.signal });
    // A fast disk may be done before the first progress is told.
    expect([undefined, "PREFAULT_ABORTED"]).toContain(error?.code);
    await prefault(path, how);
    await expectResident({ path });
    expect((await findMappings(path)).map(({ address }) => address)).toEqual([mapping.address]);
  });

  describe("takes no mapping of this package for an engine's", () => {
    test("of another prefault", looksAtPageCache, async () => {
      await evictAll(path);
      const filling = prefault(path, { ...how, workers: 1 });
      while ((await findMappings(path)).length === 0) await sleep(5);
      expect((await prefault(path, how)).workers).toBeGreaterThan(0);
      await filling;
    });

    test("of a model that it mapped", looksAtPageCache, async () => {
      const model = join(folder, "mapped.gguf");
      await writeSyntheticModel({ kind: "dense", path: model, targetBytes: BYTES });
      await using _ = await mapModel(model);
      await evictAll(model);
      expect((await prefault(model, how)).workers).toBeGreaterThan(0);
    });
  });
});
