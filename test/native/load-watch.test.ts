import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { evict } from "prefault";
import { afterEach, describe, expect, test } from "vitest";
import { loadShim } from "../../shims/index.ts";
import { returnArena, takeArena } from "../../src/arena/arena.ts";
import { isLoadedSoon } from "../../src/beside/fast-load.ts";
import { LoadWatch } from "../../src/beside/load-watch.ts";
import { type ForeignMapping, mapForeign } from "../fixtures/foreign-mapping.ts";
import { writeDataFile } from "../helpers/data-file.ts";
import { onLinux } from "../helpers/platform.ts";
import { until } from "../helpers/process-facts.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

const BYTES = 16 * 1024 ** 2;

onLinux("an engine in this process", () => {
  const folder = temporaryFolder();
  const path = writeDataFile(join(folder, "weights"), BYTES);
  const other = writeDataFile(join(folder, "other"), BYTES);
  let mapping: ForeignMapping | undefined;
  const map = (which = path) => {
    mapping = mapForeign(which, BYTES);
  };
  afterEach(() => {
    mapping?.unmap();
    mapping = undefined;
  });

  test("is seen by its mapping of one of the files", async () => {
    const watch = new LoadWatch([other, path]);
    expect(await watch.isBeside()).toBe(false);
    expect(watch.word.turn).toBe("alone");
    map();
    expect(await watch.isBeside()).toBe(true);
    expect(watch.word.turn).not.toBe("alone");
    watch.stop();
    expect(watch.word.turn).toBe("alone");
  });

  test("is seen also when it maps the file later, and when it is gone", async () => {
    const watch = new LoadWatch([path]);
    await watch.isBeside();
    map();
    await until(() => watch.word.turn !== "alone", "it is seen");
    mapping?.unmap();
    mapping = undefined;
    await until(() => watch.word.turn === "alone", "it is gone");
    watch.stop();
  });

  test("is looked at once, whoever asks at the same time", async () => {
    const watch = new LoadWatch([path]);
    map();
    expect(await Promise.all([watch.isBeside(), watch.isBeside()])).toEqual([true, true]);
    watch.stop();
    await until(() => watch.word.turn === "alone", "nobody gives turns any more");
  });

  test("is not what this package maps", async ({ skip }) => {
    const shim = await loadShim();
    skip(!shim.canPlace, "files cannot be mapped into arenas here");
    const arena = takeArena(shim);
    const file = await open(path);
    arena.place({ arena: 0, start: 0, byteLength: BYTES, file: 0, offset: 0 }, file.fd);
    const watch = new LoadWatch([path]);
    expect((await shim.findMappings(path))?.length).toBe(1);
    expect(await watch.isBeside()).toBe(false);
    returnArena(arena);
    watch.stop();
    await file.close();
  });

  test("has no part in a file of another name", async () => {
    const watch = new LoadWatch([other]);
    map();
    expect(await watch.isBeside()).toBe(false);
    watch.stop();
  });
});

onLinux("a load", () => {
  const path = writeDataFile(join(temporaryFolder(), "weights"), 64 * 1024 ** 2);

  describe("is known to have read all of its file", () => {
    test("when it has, and was fast", { retry: 3 }, async () => {
      await evict(path);
      const loading = readFile(path);
      expect(await isLoadedSoon(64 * 1024 ** 2, loading, new AbortController().signal)).toBe(true);
    });

    test("not when the file was resident before", async () => {
      await readFile(path);
      const loading = readFile(path);
      expect(await isLoadedSoon(64 * 1024 ** 2, loading, new AbortController().signal)).toBe(false);
    });
  });
});
