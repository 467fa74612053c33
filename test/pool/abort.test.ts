import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PrefaultError, prefault } from "prefault";
import { beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { writeDataFile } from "../helpers/data-file.ts";
import { descriptorsOf } from "../helpers/open-descriptors.ts";
import { evictAll, expectResident, residentShare } from "../helpers/page-cache.ts";
import { mappingsOf, threadCount, until } from "../helpers/process-facts.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

const MIB = 1024 ** 2;

describe.skipIf(process.platform !== "linux")("an aborted prefault", () => {
  const folder = temporaryFolder();
  const path = join(folder, "weights.bin");
  beforeAll(() => void writeDataFile(path, 200 * MIB));
  beforeEach(() => evictAll(path));

  const expectNothingLeft = async (threads: number) => {
    await until(() => descriptorsOf(folder) === 0, "the descriptors are closed");
    await until(() => mappingsOf(folder).length === 0, "the mappings are gone");
    await until(() => threadCount() <= threads, "the threads are gone");
  };

  test("does nothing when it was aborted before it began", async () => {
    const reason = new Error("because");
    const log = vi.fn();
    const report = await prefault(path, { signal: AbortSignal.abort(reason), log });
    expect(report).toMatchObject({
      ran: false,
      error: { code: "PREFAULT_ABORTED", cause: reason },
    });
    expect(log).toHaveBeenCalledOnce();
    expect(await residentShare({ path })).toBeLessThan(0.02);
  });

  test.each(["populate", "touch", "read"] as const)(
    "stops under way with strategy %s, leaves nothing behind, and the next one works",
    async (strategy) => {
      await prefault([{ path, byteLength: 4096 }], { log() {} });
      const threads = threadCount();
      const controller = new AbortController();
      const pending = prefault(path, { log() {}, strategy, signal: controller.signal });
      // The workers' threads take longer to start than it takes to see the file opened.
      await until(() => descriptorsOf(folder) > 0, "the file is open");
      controller.abort();
      const report = await pending;
      expect(report.error).toMatchObject({ code: "PREFAULT_ABORTED" });
      expect(PrefaultError.is(report.error)).toBe(true);
      await expectNothingLeft(threads);

      expect((await prefault(path, { log() {}, strategy })).error).toBeUndefined();
      await expectResident({ path });
      await expectNothingLeft(threads);
    },
  );

  test("settles and leaves nothing behind whenever it is aborted", async () => {
    await prefault([{ path, byteLength: 4096 }], { log() {} });
    const threads = threadCount();
    const codes: (string | undefined)[] = [];
    for (let round = 0; round < 12; round++) {
      await evictAll(path);
      const controller = new AbortController();
      const pending = prefault(path, { log() {}, workers: 2, signal: controller.signal });
      await sleep(round * 8);
      controller.abort();
      codes.push((await pending).error?.code);
    }
    // The first has hardly begun; the last ones may be over by then.
    expect(codes[0]).toBe("PREFAULT_ABORTED");
    expect(["PREFAULT_ABORTED", undefined]).toEqual(expect.arrayContaining(codes));
    await expectNothingLeft(threads);
    await prefault(path, { log() {} });
    await expectResident({ path });
  });

  test("does not stop another that runs beside it", async () => {
    const controller = new AbortController();
    const aborted = prefault(path, { log() {}, signal: controller.signal });
    const other = prefault(path, { log() {} });
    await until(() => descriptorsOf(folder) > 0, "a file is open");
    controller.abort();
    expect((await aborted).error?.code).toBe("PREFAULT_ABORTED");
    expect((await other).error).toBeUndefined();
    await expectResident({ path });
  });

  test("lets go of the signal", async () => {
    const { signal } = new AbortController();
    const added = vi.spyOn(signal, "addEventListener");
    const removed = vi.spyOn(signal, "removeEventListener");
    await prefault([{ path, byteLength: MIB }], { log() {}, signal });
    expect(added).toHaveBeenCalled();
    expect(removed.mock.calls.map(([, listener]) => listener)).toEqual(
      added.mock.calls.map(([, listener]) => listener),
    );
  });
});
