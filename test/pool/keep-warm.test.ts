import { getEventListeners } from "node:events";
import { chmodSync, copyFileSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type KeepOptions, type KeptWarm, keepWarm, type Target } from "prefault";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { NOBODY, whyNotAsNobody } from "../helpers/another-user.ts";
import {
  type BudgetModel,
  cachedBytes,
  writeBudgetModel,
  writeCsvProfile,
} from "../helpers/budget-model.ts";
import { hasFincore, writeDataFile } from "../helpers/data-file.ts";
import { descriptorsOf } from "../helpers/open-descriptors.ts";
import { evictAll } from "../helpers/page-cache.ts";
import { mappingsOf, threadCount, until } from "../helpers/process-facts.ts";
import { idleEngine, readingEngine } from "../helpers/reading-engine.ts";
import { runChild, startChild } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";

const MIB = 1024 ** 2;

describe.skipIf(process.platform !== "linux" || !hasFincore)("what is kept warm", () => {
  const folder = temporaryFolder();
  let model: BudgetModel;
  let data: string;

  beforeAll(async () => {
    model = await writeBudgetModel(join(folder, "model.gguf"));
    data = writeDataFile(join(folder, "data"), 8 * MIB);
  });

  /** Starts from a cold cache, and ends with the test. */
  async function keep(options: KeepOptions = {}, target: Target = model.path): Promise<KeptWarm> {
    await evictAll(...model.paths);
    const kept = keepWarm(target, { gate: "always", everyMs: 50, log: () => {}, ...options });
    onTestFinished(() => kept.close());
    return kept;
  }

  const cached = () => cachedBytes(model.paths);
  const lookedAt = (kept: KeptWarm) => until(() => (kept.state?.runs.length ?? 0) > 0, "it looked");

  test("is filled, and filled again when it is gone", looksAtPageCache, async () => {
    const lines: string[] = [];
    const kept = await keep({ pid: idleEngine(), log: (line) => lines.push(line) });
    expect(await kept.report).toMatchObject({ ran: true, bytes: model.bytes });
    await lookedAt(kept);
    expect(kept.state?.runs).toMatchObject([{ name: "files", path: model.path }]);
    expect(kept.state?.refills).toBe(0);
    for (const times of [1, 2]) {
      await evictAll(...model.paths);
      await until(() => kept.state?.refills === times, "it was filled again");
      expect(cached()).toBeGreaterThanOrEqual(mostOf(model.bytes));
      const [{ wantedBytes, residentBytes } = { wantedBytes: 0, residentBytes: 0 }] =
        kept.state?.runs ?? [];
      expect(residentBytes).toBeGreaterThanOrEqual(mostOf(wantedBytes));
      expect(kept.state?.refilledBytes).toBeGreaterThanOrEqual(mostOf(times * model.bytes));
    }
    expect(lines.filter((line) => /were missing, and are resident again$/.test(line))).toHaveLength(
      2,
    );
  });

  test(
    "is filled from time to time where the system does not tell",
    looksAtPageCache,
    async ({ skip }) => {
      const why = await whyNotAsNobody();
      if (why !== undefined) skip(why);
      chmodSync(folder, 0o755);
      const script = `
      import { spawn } from "node:child_process";
      import { setTimeout as sleep } from "node:timers/promises";
      import { keepWarm } from "prefault";
      const engine = spawn("sleep", ["60"]);
      const options = { gate: "always", everyMs: 50, pid: engine.pid, log() {} };
      const kept = keepWarm(process.argv[1], options);
      await kept.report;
      console.log("filled");
      while ((kept.state?.refills ?? 0) < 2) await sleep(20);
      const { runs, refilledBytes, postponed } = kept.state;
      await kept.close();
      engine.kill();
      console.log(JSON.stringify({ resident: runs[0].residentBytes, refilledBytes, postponed }));
    `;
      await evictAll(...model.paths);
      const child = startChild(script, [model.path], { uid: NOBODY });
      await until(() => child.output.stdout === "filled\n", "it was filled");
      await evictAll(...model.paths);
      const { stdout, stderr } = await child.ended;
      const told = stdout.split("\n")[1] ?? "";
      expect(JSON.parse(told || stderr)).toEqual({
        resident: null,
        refilledBytes: 0,
        postponed: 0,
      });
      expect(cached()).toBeGreaterThanOrEqual(mostOf(model.bytes));
    },
  );

  test("is looked at rarely where all is locked, not all the time", async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on("warning", onWarning);
    onTestFinished(() => void process.off("warning", onWarning));
    const small = writeDataFile(join(folder, "small"), MIB);
    const kept = keepWarm(small, { lock: true, everyMs: 2 ** 31 - 1, log: () => {} });
    onTestFinished(() => kept.close());
    await kept.report;
    await lookedAt(kept);
    await sleep(100);
    expect(warnings).toEqual([]);
  });

  test("is not filled again while the engine reads", looksAtPageCache, async () => {
    const engine = readingEngine(data, join(folder, "read"));
    const kept = await keep({ pid: engine.pid });
    await kept.report;
    engine.read();
    await sleep(500);
    await evictAll(...model.paths);
    const { postponed = 0 } = kept.state ?? {};
    await until(() => (kept.state?.postponed ?? 0) >= postponed + 2, "it was postponed");
    expect(kept.state?.refills).toBe(0);
    expect(cached()).toBeLessThan(0.05 * model.bytes);
    engine.rest();
    await until(() => kept.state?.refills === 1, "it was filled again");
    expect(cached()).toBeGreaterThanOrEqual(mostOf(model.bytes));
  });

  test(
    "is never more than its budget, nor after it was filled again",
    looksAtPageCache,
    async () => {
      const profile = join(folder, "profile.csv");
      writeCsvProfile(profile, model, 1.2, 0);
      const budget = Math.floor(0.6 * model.bytes);
      const kept = await keep({ budget, profile, pid: idleEngine() });
      const { runs = [] } = await kept.report;
      const planned = runs.reduce((sum, { plannedBytes = 0 }) => sum + plannedBytes, 0);
      expect(cached()).toBeLessThanOrEqual(budget);
      expect(cached()).toBeGreaterThanOrEqual(mostOf(planned));
      await lookedAt(kept);
      expect(kept.state?.runs.map(({ name }) => name)).toEqual(["core", "experts"]);
      // Another profile by now: the set stays the same.
      writeCsvProfile(profile, model, 1.2, 7);
      await evictAll(...model.paths);
      await until(() => kept.state?.refills === 1, "it was filled again");
      expect(cached()).toBeLessThanOrEqual(budget);
      expect(cached()).toBeGreaterThanOrEqual(mostOf(planned));
      for (const { residentBytes, wantedBytes } of kept.state?.runs ?? []) {
        expect(residentBytes).toBeGreaterThanOrEqual(mostOf(wantedBytes));
      }
    },
  );

  test("is locked until it is closed", looksAtPageCache, async ({ skip }) => {
    if (process.getuid?.() !== 0) skip("only root may lock more than the limit");
    const before = lockedOfProcess();
    const kept = await keep({ lock: true });
    await kept.report;
    const { lockedBytes = 0 } = kept.state ?? {};
    expect(lockedBytes).toBeGreaterThanOrEqual(model.bytes);
    expect(lockedOfProcess() - before).toBe(lockedBytes);
    await kept.close();
    expect(lockedOfProcess()).toBe(before);
    expect(mappingsOf(model.path)).toEqual([]);
  });

  test("leaves no thread, descriptor or listener when it is closed", async () => {
    const threads = threadCount();
    const controller = new AbortController();
    const kept = await keep({ signal: controller.signal, lock: true });
    await kept.report;
    await lookedAt(kept);
    await kept.close();
    await kept.close();
    expect(await kept.ended).toBeNull();
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
    expect(descriptorsOf(model.path)).toBe(0);
    expect(mappingsOf(model.path)).toEqual([]);
    await until(() => threadCount() <= threads, "the threads ended");
  });

  test("keeps no process alive when it is closed", async () => {
    const script = `
      import { keepWarm } from "prefault";
      const kept = keepWarm(process.argv[1], { everyMs: 60_000, gate: "always", lock: true });
      await kept.report;
      await kept.close();
      process.on("exit", () => console.log(process.getActiveResourcesInfo().filter((name) => /Timeout|Worker|Port/.test(name)).length));
    `;
    const { code, stdout } = await runChild(script, [model.path], { timeoutMs: 20_000 });
    expect({ code, stdout }).toEqual({ code: 0, stdout: "0\n" });
  });

  test("can be ended at any moment", async () => {
    for (let ms = 0; ms < 400; ms += 23) {
      const controller = new AbortController();
      const kept = await keep({ signal: controller.signal, lock: ms % 2 === 0, everyMs: 1 });
      await sleep(ms);
      if (ms % 3 === 0) controller.abort();
      else await kept.close();
      const { error } = await kept.report;
      expect([undefined, "PREFAULT_ABORTED"]).toContain(error?.code);
      expect(await kept.ended).toBeNull();
      await kept.close();
      expect(getEventListeners(controller.signal, "abort")).toEqual([]);
      // After an abort a worker may still be at its last read.
      await until(() => mappingsOf(model.path).length === 0, "nothing was mapped");
    }
    await until(() => descriptorsOf(model.path) === 0, "the files were closed");
  });

  test("can be ended while it is filled again", async () => {
    for (const ms of [950, 1050, 1150, 1300]) {
      const kept = await keep({ pid: idleEngine(), everyMs: 1 });
      await kept.report;
      await evictAll(...model.paths);
      await sleep(ms);
      await kept.close();
      expect(await kept.ended).toBeNull();
      await until(() => descriptorsOf(model.path) === 0, "the files were closed");
    }
  });

  test("is ended by a signal that has fired before", async () => {
    const kept = await keep({ signal: AbortSignal.abort() });
    expect((await kept.report).error?.code).toBe("PREFAULT_ABORTED");
    expect(await kept.ended).toBeNull();
    expect(cached()).toBe(0);
  });

  test("is nothing with the kill switch", async () => {
    process.env["KEEP_WARM"] = "0";
    onTestFinished(() => void delete process.env["KEEP_WARM"]);
    const kept = await keep({ killSwitch: "KEEP_WARM", lock: true });
    expect(await kept.report).toMatchObject({ ran: false, reason: "disabled (KEEP_WARM=0)" });
    expect(kept.state).toBeNull();
    expect(cached()).toBe(0);
    await kept.close();
    expect(await kept.ended).toBeNull();
  });

  test("says when it cannot be kept any more", async () => {
    const path = join(folder, "replaced.gguf");
    copyFileSync(model.path, path);
    const lines: string[] = [];
    const kept = await keep({ log: (line) => lines.push(line) }, path);
    await kept.report;
    copyFileSync(model.path, `${path}.new`);
    renameSync(`${path}.new`, path);
    const error = await kept.ended;
    expect(error).toMatchObject({ code: "PREFAULT_FILE_CHANGED", path });
    expect(lines.at(-1)).toMatch(/^\[prefault\] Keeping stopped: .*was replaced/);
  });

  test("says what could not be filled at all", async () => {
    const kept = await keep({}, join(folder, "absent.gguf"));
    expect((await kept.report).error?.code).toBe("PREFAULT_NOT_FOUND");
    expect((await kept.ended)?.code).toBe("PREFAULT_NOT_FOUND");
  });

  test.each<[string, object]>([
    ["everyMs", { everyMs: 0 }],
    ["everyMs", { everyMs: Number.NaN }],
    ["everyMs", { everyMs: 2 ** 31 }],
    ["everyMs", { everyMs: "1s" }],
    ["pid", { pid: -1 }],
    ["signal", { signal: "now" }],
    ["log", { log: "stderr" }],
  ])("refuses an option %s that cannot be: %j", async (name, options) => {
    const kept = await keep({ ...(options as KeepOptions) });
    const { error } = await kept.report;
    expect(error).toMatchObject({ code: "PREFAULT_INVALID_OPTION" });
    expect(error?.message).toContain(name);
    expect((await kept.ended)?.code).toBe("PREFAULT_INVALID_OPTION");
  });
});

/** What the kernel counts as locked of this process. */
function lockedOfProcess(): number {
  const [, kib] = /^VmLck:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return Number(kib) * 1024;
}
