import { getEventListeners } from "node:events";
import { rmSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { openModel, PrefaultError, prefault, type Target } from "prefault";
import { beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { loadShim } from "../../shims/index.ts";
import { writeDataFile } from "../helpers/data-file.ts";
import { descriptorsOf } from "../helpers/open-descriptors.ts";
import { mappingsOf } from "../helpers/process-facts.ts";
import { parseOutput, runChild } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

const MIB = 1024 ** 2;

const { canPopulate } = await loadShim();
const folder = temporaryFolder();
const path = join(folder, "weights.bin");
beforeAll(() => void writeDataFile(path, 4 * MIB));
const absent = join(folder, "absent.gguf");

describe("a prefault that fails", () => {
  test("reports by default, and logs one line", async () => {
    const lines: string[] = [];
    const report = await prefault(absent, { label: "L", log: (line) => lines.push(line) });
    expect(PrefaultError.is(report.error)).toBe(true);
    expect(report).toMatchObject({
      label: "L",
      ran: false,
      error: { code: "PREFAULT_NOT_FOUND", path: absent },
    });
    expect(lines).toEqual([`[L] Pre-fault stopped: ${report.error?.message}.`]);
  });

  test("throws when it is asked to, and logs nothing", async () => {
    const log = vi.fn();
    await expect(prefault(absent, { onError: "throw", log })).rejects.toMatchObject({
      code: "PREFAULT_NOT_FOUND",
    });
    expect(log).not.toHaveBeenCalled();
  });

  test("fails the same way for options that cannot be", async () => {
    const options = { workers: 0, log() {} };
    expect((await prefault(path, options)).error?.code).toBe("PREFAULT_INVALID_OPTION");
    await expect(prefault(path, { ...options, onError: "throw" })).rejects.toMatchObject({
      code: "PREFAULT_INVALID_OPTION",
    });
  });

  describe.each([
    ["is missing", undefined],
    ["is no JavaScript", "export default ("],
    ["throws when it is loaded", "throw new Error('at import');"],
    ["exits while it boots", "process.exit(0);"],
    ["exits with an error while it boots", "process.exit(3);"],
    ["exits when it is called", "export default () => process.exit(3);"],
    ["throws when it is called", "export default () => { throw new Error('called'); }"],
    ["exports nothing", "export const nothing = 1;"],
    [
      "runs out of memory",
      "const all = []; for (;;) all.push(new Array(1e5).fill(all.length)); export default 1;",
    ],
    ["cannot send its answer", "export default () => ({ answer: () => 1 });"],
  ])("whose worker's file %s", (_, text) => {
    const worker = join(folder, "broken-worker.mjs");
    const workerUrl = pathToFileURL(worker);
    beforeEach(() => {
      rmSync(worker, { force: true });
      if (text !== undefined) writeFileSync(worker, text);
    });

    test("reads on the calling thread with auto, and says so", async () => {
      const { signal } = new AbortController();
      const progress = vi.fn();
      const options = { workerUrl, signal, onProgress: progress, log() {} };
      const report = await prefault(path, options);
      expect(report).toMatchObject({
        ran: true,
        strategy: "read",
        workers: 0,
        strategyReason: expect.stringContaining("no worker thread could be started"),
      });
      expect(report.error).toBeUndefined();
      expect(progress).toHaveBeenLastCalledWith({ bytesDone: 4 * MIB, bytesTotal: 4 * MIB });
      expect(getEventListeners(signal, "abort")).toEqual([]);
    });

    test("fails with a code with a strategy that was asked for, and leaves nothing behind", async () => {
      const strategy = canPopulate ? "populate" : "touch";
      const report = await prefault(path, { workerUrl, strategy, log() {} });
      expect(report).toMatchObject({
        error: { code: "PREFAULT_WORKER_FAILED" },
        bytes: 4 * MIB,
        files: [{ path }],
      });
      expect((await prefault(path, { log() {} })).error).toBeUndefined();
    });
  });

  test("reports a worker that was terminated in the middle", async () => {
    const worker = join(folder, "dying-worker.mjs");
    // Takes a chunk off the shared counter, as a real one does (`src/control.ts`), and dies.
    writeFileSync(
      worker,
      "export default ({ control }) => { Atomics.add(new Int32Array(control), 4, 1); process.exit(1); }",
    );
    const report = await prefault(path, { workerUrl: pathToFileURL(worker), log() {} });
    expect(report).toMatchObject({ ran: true, error: { code: "PREFAULT_WORKER_FAILED" } });
  });

  test("keeps what the runs before it did", async () => {
    const model = await openModel(path);
    const gone = join(folder, "gone.bin");
    writeDataFile(gone, MIB);
    const other = await openModel(gone);
    const both = { ...model, files: [...model.files, ...other.files] };
    const run = (file: number, byteLength: number) => ({
      label: `run ${file}`,
      gate: "always" as const,
      regions: [{ tensor: { ...model.tensors[0], file, byteLength }, reason: "" }],
    });
    const plan = { model: both, runs: [run(0, 4 * MIB), run(1, MIB)], elsewhere: [], notes: [] };
    unlinkSync(gone);
    const report = await prefault(plan as unknown as Target, { log() {} });
    expect(report).toMatchObject({
      ran: true,
      bytes: 4 * MIB,
      files: [{ path, bytes: 4 * MIB }],
      error: { code: "PREFAULT_NOT_FOUND", path: gone },
      runs: [{ ran: true }, { ran: false }],
    });
  });

  test("leaves no file open", async ({ skip }) => {
    if (process.platform !== "linux") skip("asks /proc");
    await prefault([{ path }, { path: absent }], { log() {} });
    await prefault([{ path, offset: -1 }], { log() {} });
    expect(descriptorsOf(folder)).toBe(0);
    expect(mappingsOf(folder)).toEqual([]);
  });
});

describe.skipIf(process.platform !== "linux")("a file that shrinks while it is swept", () => {
  // That it never ends the process is tried at random moments in `test/robustness/shrinking.test.ts`.
  test("stops at the first failure, or goes on to the last chunk, as asked", async () => {
    const shrinking = join(folder, "shrinking-once");
    const once = `
      import { readFileSync, truncateSync } from "node:fs";
      import { prefault } from "prefault";
      import { setImmediate as turn } from "node:timers/promises";
      const [path, onError] = process.argv.slice(1);
      const pending = prefault([{ path }], { log() {}, onError, workers: 1, chunkBytes: 2 ** 20 });
      // Mapped, and the worker's thread is not up yet.
      while (!readFileSync("/proc/self/maps", "utf8").includes(path)) await turn();
      truncateSync(path, 2 * 1024 ** 2);
      const { failures, chunks, ran } = await pending;
      console.log(JSON.stringify({ failures, chunks, ran }));
    `;
    const failuresWith = async (onError: string) => {
      writeDataFile(shrinking, 16 * MIB);
      const child = await runChild(once, [shrinking, onError]);
      return parseOutput<{ failures: { offset: number; code: string }[]; chunks: number }>(child);
    };
    const reported = await failuresWith("report");
    expect(reported.failures).toHaveLength(1);
    const continued = await failuresWith("continue");
    expect(continued.failures.map(({ code }) => code)).toEqual(
      Array.from({ length: 14 }, () => "PREFAULT_FILE_CHANGED"),
    );
    expect(continued.failures.map(({ offset }) => offset)).toEqual(
      Array.from({ length: 14 }, (_, index) => (index + 2) * MIB),
    );
    expect(continued.chunks).toBe(16);
  });
});
