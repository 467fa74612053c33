import { statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { evict, type PrefaultReport, prefault, residency } from "prefault";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { loadShim } from "../../shims/index.ts";
import { describeOpenFile, openFile } from "../../src/file/open-file.ts";
import { residentBytes } from "../../src/residency/count.ts";
import { chooseStrategy } from "../../src/sweep/strategy.ts";
import { defaultWorkers } from "../../src/sweep/worker-count.ts";
import { writeDataFile } from "../helpers/data-file.ts";
import { descriptorsOf } from "../helpers/open-descriptors.ts";
import { mappingsOf, until } from "../helpers/process-facts.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";
import { start } from "../package/cli-process.ts";
import { BAD_PAGE, type BadFiles, FILE_BYTES, mountBadFiles } from "./fuse.ts";
import { runScript } from "./run-script.ts";

const MIB = 1024 ** 2;
const PAGE = 4096;
const STRATEGIES = ["auto", "populate", "touch", "read"] as const;

describe.skipIf(process.platform !== "linux")("a device", () => {
  const folder = temporaryFolder();
  const local = writeDataFile(join(folder, "local"), MIB);
  let files: BadFiles | undefined;
  let why = "";

  beforeAll(async () => {
    const mounted = await mountBadFiles(folder);
    if (typeof mounted === "string") why = mounted;
    else files = mounted;
  });

  afterAll(() => files?.unmount());

  /** The files, or why the test cannot run. */
  function badFiles(skip: (why: string) => never): BadFiles {
    return files ?? skip(why);
  }

  const failuresOf = ({ failures }: PrefaultReport) =>
    failures.map(({ offset, byteLength, errno }) => ({ offset, byteLength, errno }));

  describe("that fails in the middle of a file", () => {
    test.for(STRATEGIES)(
      "is an error with offset and errno, with strategy %s",
      async (strategy, { skip }) => {
        const { eio } = badFiles(skip);
        await evict([{ path: eio }]);
        const { error, failures } = await prefault([{ path: eio }], { log() {}, strategy });
        expect(error).toMatchObject({
          code: "PREFAULT_READ_FAILED",
          errno: "EIO",
          offset: BAD_PAGE,
          path: eio,
        });
        expect(failures[0]).toMatchObject({ offset: BAD_PAGE, errno: "EIO" });
      },
    );

    test.for(STRATEGIES)(
      "leaves out one page when it goes on, with strategy %s",
      looksAtPageCache,
      async (strategy, { skip }) => {
        const { eio } = badFiles(skip);
        await evict([{ path: eio }]);
        const options = { log() {}, strategy, onError: "continue" } as const;
        const report = await prefault([{ path: eio }], options);
        expect(failuresOf(report)).toEqual([{ offset: BAD_PAGE, byteLength: PAGE, errno: "EIO" }]);
        expect(report.error?.code).toBe("PREFAULT_READ_FAILED");
        const behind = { path: eio, offset: BAD_PAGE + PAGE };
        const { bytes, residentBytes } = await residency([
          { path: eio, byteLength: BAD_PAGE },
          behind,
        ]);
        expect(bytes).toBe(FILE_BYTES - PAGE);
        expect(residentBytes).toBeGreaterThan(mostOf(bytes));
      },
    );

    test("is given up in few steps where nothing more can be read", async ({ skip }) => {
      const { dead } = badFiles(skip);
      await evict([{ path: dead }]);
      const options = { log() {}, onError: "continue", chunkBytes: 8 * MIB } as const;
      const report = await prefault([{ path: dead }], options);
      // Chunks are cut 2 MiB off the file's own grid; each is told as one failure.
      expect(report.failures[0]).toMatchObject({ offset: 48 * MIB, errno: "EIO" });
      expect(report.failures.length).toBeLessThanOrEqual(3);
      const lost = report.failures.reduce((sum, { byteLength }) => sum + byteLength, 0);
      expect(lost).toBe(16 * MIB);
    });
  });

  test("with a file that grows is swept up to where the file ended", async ({ skip }) => {
    const { grows } = badFiles(skip);
    for (const strategy of STRATEGIES) {
      const before = statSync(grows).size;
      const report = await prefault([{ path: grows }], { log() {}, strategy });
      expect(report.error).toBeUndefined();
      expect(report.bytes).toBeGreaterThan(before);
      expect(report.bytes).toBeLessThan(before + MIB);
    }
  });

  describe("that does not answer", () => {
    afterEach(async () => {
      files?.answerReads();
      files?.answerQuestions();
      await until(() => descriptorsOf(folder) === 0, "the files are closed");
      await until(() => mappingsOf(folder).length === 0, "nothing is mapped");
    });

    test.for(STRATEGIES)(
      "does not keep an abort waiting, with strategy %s",
      async (strategy, { skip }) => {
        const { stall, stallReads } = badFiles(skip);
        await evict([{ path: stall }]);
        stallReads();
        const signal = AbortSignal.timeout(300);
        const started = performance.now();
        const report = await prefault([{ path: stall }], { log() {}, strategy, signal });
        expect(report.error?.code).toBe("PREFAULT_ABORTED");
        // Of 30 seconds; a machine that is busy with other tests takes its time too.
        expect(performance.now() - started).toBeLessThan(5000);
        // And the next one is not kept waiting by the threads that are.
        const healthy = await prefault([{ path: local }], { log() {} });
        expect(healthy.error).toBeUndefined();
      },
    );

    test("does not keep an abort waiting while a header is read", async ({ skip }) => {
      const { silent, stallReads } = badFiles(skip);
      await evict([{ path: silent }]);
      stallReads();
      const started = performance.now();
      const report = await prefault(silent, { log() {}, signal: AbortSignal.timeout(300) });
      expect(report.error?.code).toBe("PREFAULT_ABORTED");
      expect(performance.now() - started).toBeLessThan(5000);
    });

    test("does not block the event loop", async ({ skip }) => {
      const { stall, stallReads } = badFiles(skip);
      await evict([{ path: stall }]);
      stallReads();
      let ticks = 0;
      const timer = setInterval(() => ticks++, 20);
      await prefault([{ path: stall }], { log() {}, signal: AbortSignal.timeout(1000) });
      clearInterval(timer);
      expect(ticks).toBeGreaterThan(15);
    });

    describe.each(["getattr", "statfs"] as const)("when it is asked for %s", (question) => {
      /** Turns of the event loop while something waits. */
      async function turnsDuring(waiting: Promise<unknown>): Promise<number> {
        let turns = 0;
        const timer = setInterval(() => turns++, 20);
        await waiting;
        clearInterval(timer);
        return turns;
      }

      test("does not keep an abort waiting, nor block the event loop", async ({ skip }) => {
        const { stall, stallQuestions } = badFiles(skip);
        stallQuestions(question);
        const signal = AbortSignal.timeout(1000);
        const started = performance.now();
        const prefaulting = prefault([{ path: stall }], { log() {}, signal });
        expect(await turnsDuring(prefaulting)).toBeGreaterThan(15);
        expect((await prefaulting).error?.code).toBe("PREFAULT_ABORTED");
        expect(performance.now() - started).toBeLessThan(5000);
      });

      test.for([
        ["residency", residency],
        ["evict", evict],
      ] as const)("lets the event loop turn during %s", async ([, ask], { skip }) => {
        const { stall, stallQuestions, answerQuestions } = badFiles(skip);
        stallQuestions(question);
        const asking = ask([{ path: stall }]);
        expect(await turnsDuring(sleep(1000))).toBeGreaterThan(15);
        answerQuestions();
        expect((await asking).bytes).toBe(FILE_BYTES);
      });
    });

    test("is asked nothing more about a file once that is open", async ({ skip }) => {
      const { stall, stallQuestions } = badFiles(skip);
      const shim = await loadShim();
      const file = await describeOpenFile(await openFile(stall), shim);
      expect(file.facts.isLocal).toBe(false);
      stallQuestions("getattr");
      stallQuestions("statfs");
      const started = performance.now();
      expect(chooseStrategy("auto", shim, [file]).strategy).toBe("read");
      expect(defaultWorkers(1000, 0, [file])).toBeGreaterThan(0);
      expect(
        await residentBytes(shim, file, [{ offset: 0, byteLength: FILE_BYTES }]),
      ).not.toBeNull();
      // Of the 30 seconds that a question would wait.
      expect(performance.now() - started).toBeLessThan(15_000);
      files?.answerQuestions();
      await file.handle.close();
    });

    // A request that FUSE has handed on cannot be taken back, not even by SIGKILL (fs/fuse/dev.c,
    // `request_wait_answer`): with few workers reads wait where a signal can end them.
    test.for([
      ["ends by itself", false],
      ["can be ended", true],
    ] as const)("lets a process that aborted %s", async ([, exits], { skip }) => {
      const { stall, stallReads } = badFiles(skip);
      await evict([{ path: stall }]);
      stallReads();
      const child = await runScript("stalled", { path: stall, exits }, { timeoutMs: 20_000 });
      expect(child, child.stderr).toMatchObject({ code: 7, signal: null });
    });

    test.for([
      ["SIGINT", 130],
      ["SIGTERM", 143],
    ] as const)("lets %s end the command with %i", async ([signal, code], { skip }) => {
      const { stall, silent, stallReads } = badFiles(skip);
      for (const path of [stall, silent]) {
        await evict([{ path }]);
        stallReads();
        const command = start([path, "--workers", "2"]);
        await sleep(1500);
        command.kill(signal);
        expect(await command.ended).toMatchObject({ code });
        files?.answerReads();
      }
    });
  });
});
