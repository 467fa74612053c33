import { join } from "node:path";
import { evict, residency, runWithPrefault } from "prefault";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type BudgetModel, writeBudgetModel, writeCsvProfile } from "../helpers/budget-model.ts";
import { fakeRun, freePort } from "../helpers/fake-server.ts";
import { until } from "../helpers/process-facts.ts";
import { parseOutput, runChild } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";
import { runScript } from "./run-script.ts";

const MIB = 1024 ** 2;

// The fake server is a program of this system's, and what is left of it is looked up in /proc.
describe.skipIf(process.platform !== "linux")("a server that the library has started", () => {
  const folder = temporaryFolder();
  let model: BudgetModel;
  const profile = join(folder, "profile.csv");

  beforeAll(async () => {
    model = await writeBudgetModel(join(folder, "model.gguf"));
    writeCsvProfile(profile, model, 1.2, 0);
  });

  /** Ends with the test, whatever became of it. */
  async function started(config = {}, args: readonly string[] = [], options = {}) {
    const fake = fakeRun(folder, config);
    const log: string[] = [];
    const { child, session } = await runWithPrefault(fake.program, ["-m", model.path, ...args], {
      spawn: { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...fake.env } },
      log: (line: string) => log.push(line),
      ...options,
    });
    onTestFinished(async () => {
      await session.close();
      child.kill("SIGKILL");
      await until(() => fake.processes().length === 0, "the server was gone");
      expect(fake.written()).toEqual([]);
    });
    return { ...fake, child, session, log };
  }

  test("is the child, and its model is made resident beside it", looksAtPageCache, async () => {
    await evict(model.path);
    const { child, session, ready } = await started();
    const report = await session.report;
    expect(report).toMatchObject({ ran: true, failures: [] });
    expect(report.error).toBeUndefined();
    expect((await residency(model.path)).residentBytes).toBeGreaterThan(mostOf(model.bytes));
    expect(await ready()).toBe(child.pid);
  });

  test("is the caller's from its start, so that an end at once is seen", async () => {
    // In a process that has loaded nothing yet.
    const ended = await runChild(`
      import { once } from "node:events";
      import { runWithPrefault } from "prefault";
      const { child } = await runWithPrefault("sh", ["-c", "exit 3"], { log() {} });
      const [code] = await once(child, "exit");
      console.log(code);
    `);
    expect(ended).toMatchObject({ code: 0, stdout: "3\n" });
  });

  test("is waited for before a part is warmed", looksAtPageCache, async () => {
    await evict(model.path);
    const port = await freePort();
    const options = { budget: 8 * MIB, profile };
    const { session, log, events } = await started(
      { loadMs: 1000 },
      ["--port", `${port}`],
      options,
    );
    let readyFirst: boolean | undefined;
    void session.report.then(() => {
      readyFirst = events().some(({ ready }) => ready !== undefined);
    });
    const report = await session.report;
    expect(readyFirst).toBe(true);
    expect(report).toMatchObject({ ran: true, budgetBytes: 8 * MIB });
    expect(log.join("\n")).toContain(`waits for http://127.0.0.1:${port}/health`);
    const { residentBytes } = await residency(model.path);
    expect(residentBytes).toBeGreaterThan(mostOf(7 * MIB));
    expect(residentBytes).toBeLessThanOrEqual(8 * MIB);
  });

  test("that cannot be started rejects with the system's error", async () => {
    const refused = runWithPrefault("/nowhere/llama-server", ["-m", model.path], { log() {} });
    await expect(refused).rejects.toMatchObject({ code: "ENOENT", syscall: expect.any(String) });
    const below = runWithPrefault(join(model.path, "x"), [], { log() {} });
    await expect(below).rejects.toMatchObject({ code: "ENOTDIR" });
  });

  test("ends the session with itself, also while it is waited for", async () => {
    const { session, child } = await started({ loadMs: 60_000 }, ["--port", "1"], {
      budget: "auto",
    });
    child.kill("SIGKILL");
    const report = await session.report;
    expect(report).toMatchObject({ ran: false, error: { code: "PREFAULT_ABORTED" } });
  });

  test("goes on when its session is closed, or its signal fires", async () => {
    const controller = new AbortController();
    const options = { budget: "auto", signal: controller.signal };
    const one = await started({ loadMs: 60_000 }, ["--port", "1"], { budget: "auto" });
    const other = await started({ loadMs: 60_000 }, ["--port", "1"], options);
    await one.session.close();
    controller.abort(new Error("enough"));
    for (const { session, child, signals } of [one, other]) {
      expect((await session.report).error).toMatchObject({ code: "PREFAULT_ABORTED" });
      expect(child.exitCode ?? child.signalCode).toBeNull();
      expect(signals()).toEqual([]);
    }
  });

  test.each([
    ["its model is not there", ["-m", "/nowhere.gguf"], {}, "PREFAULT_NOT_FOUND"],
    ["an option cannot be", [], { workers: 99 }, "PREFAULT_INVALID_OPTION"],
    ["the URL cannot be", [], { after: "soon" }, "PREFAULT_INVALID_OPTION"],
  ])("goes on when %s", async (_, args, options, code) => {
    const { session, child } = await started({}, args, options);
    const report = await session.report;
    expect(report).toMatchObject({ ran: false });
    expect(report.error ?? report.failures[0]).toMatchObject({ code });
    expect(child.exitCode ?? child.signalCode).toBeNull();
  });

  test("leaves no thread, descriptor, mapping, listener or lock", async () => {
    const fake = fakeRun(folder, { lingersMs: 0 });
    const argument = { program: fake.program, path: model.path, rounds: 12 };
    const child = await runScript("run-with", argument, { env: fake.env });
    expect(child).toMatchObject({ code: 0, stderr: "" });
    const { before, after, seen } = parseOutput<{
      before: Record<string, number>;
      after: Record<string, number>;
      seen: { locked: number; ran: boolean }[];
    }>(child);
    // What was on its way out before may be gone after.
    for (const [trace, count] of Object.entries(after)) {
      expect(count, trace).toBeLessThanOrEqual(before[trace] ?? 0);
    }
    expect(seen.filter(({ ran }) => ran)).toHaveLength(8);
    expect(Math.max(...seen.map(({ locked }) => locked))).toBeGreaterThan(
      (0.9 * model.bytes) / 1024,
    );
    await until(() => fake.processes().length === 0, "the servers were gone");
  });
});
