import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { evict, residency } from "prefault";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { ServerStatus } from "../../examples/electron/src/ipc.ts";
import { type BudgetModel, writeBudgetModel } from "../helpers/budget-model.ts";
import { type FakeServerConfig, fakeRun, freePort } from "../helpers/fake-server.ts";
import { until } from "../helpers/process-facts.ts";
import { ROOT } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";
import { electronApp } from "./electron/app.ts";
import { WarmerProcess } from "./electron/warmer-process.ts";

type Running = Extract<ServerStatus, { state: "running" }>;

// The fake server is a program of this system's, and what is left of it is looked up in /proc.
describe.skipIf(process.platform !== "linux")("the server of the example's settings", () => {
  const folder = temporaryFolder();
  let app: string;
  let model: BudgetModel;
  let files = 0;
  beforeAll(async () => {
    app = await electronApp();
    model = await writeBudgetModel(join(folder, "model.gguf"));
  });

  /** The utility process with settings of its own. Whatever a test does, nothing may be left of it. */
  async function host(server: (program: string) => unknown, config: FakeServerConfig = {}) {
    const fake = fakeRun(folder, { lingersMs: 0, ...config });
    const settings = join(folder, `settings-${files++}.json`);
    writeFileSync(settings, JSON.stringify({ server: server(fake.program) }));
    const warmer = await WarmerProcess.start(join(app, "dist/warmer.js"), {
      env: fake.env,
      settings,
    });
    onTestFinished(async () => {
      await warmer.end();
      await until(() => fake.processes().length === 0, "all processes were gone");
    });
    return { ...fake, warmer, settings };
  }

  const started = (program: string) => ({ command: [program, "-m", model.path] });
  const isRunning = (status: ServerStatus): status is Running => status.state === "running";
  const is = (state: ServerStatus["state"]) => (status: ServerStatus) => status.state === state;

  async function start({ warmer, ready }: Awaited<ReturnType<typeof host>>): Promise<number> {
    warmer.fromWindow({ kind: "start-server" });
    await warmer.untilServer(isRunning);
    return ready();
  }

  it("is told by its name, and started when the window says so", looksAtPageCache, async () => {
    await evict(model.path);
    const port = await freePort();
    const ready = `http://127.0.0.1:${port}/health`;
    const { warmer, events, processes } = await host(
      (program) => ({ command: [program, "-m", model.path, "--port", `${port}`], ready }),
      { loadMs: 1000 },
    );
    expect(await warmer.untilServer(() => true)).toEqual({ state: "idle", name: "llama-server" });
    expect(processes()).toEqual([warmer.pid]);
    warmer.fromWindow({ kind: "start-server" });
    expect(await warmer.untilServer(isRunning)).toMatchObject({ isReady: false, report: null });
    await warmer.untilServer((status) => isRunning(status) && status.isReady === true);
    expect(events().some((event) => event.ready !== undefined)).toBe(true);
    const warmed = await warmer.untilServer(
      (status) => isRunning(status) && status.report !== null,
    );
    expect((warmed as Running).report?.runs).toMatchObject([
      { name: "core", skipped: null },
      { name: "experts", skipped: null },
    ]);
    expect((await residency(model.path)).residentBytes).toBeGreaterThan(mostOf(model.bytes));
  });

  it("is warmed within the settings' budget, and says what it waits for", async () => {
    const port = await freePort();
    const { warmer } = await host(
      (program) => ({
        command: [program, "-m", model.path, "--port", `${port}`],
        budget: "8 MiB",
      }),
      { loadMs: 300 },
    );
    warmer.fromWindow({ kind: "start-server" });
    await warmer.untilServer(
      (status) => isRunning(status) && status.note.startsWith("warming waits"),
    );
    const warmed = await warmer.untilServer(
      (status) => isRunning(status) && status.report !== null,
    );
    const { report, isReady } = warmed as Running;
    expect(isReady).toBeNull();
    expect(report?.notes.join("\n")).toContain("a budget of 8.00 MiB");
  });

  it("runs on where warming is refused, and says why", async () => {
    const run = await host((program) => ({ ...started(program), budget: "40%" }));
    const pid = await start(run);
    const { warmer } = run;
    await warmer.untilServer((status) => isRunning(status) && /budget must be/.test(status.note));
    expect(run.processes()).toContain(pid);
  });

  it("ends when the window says so, asked once, and can be started again", async () => {
    const run = await host(started, { lingersMs: 500 });
    const { warmer, signals } = run;
    await start(run);
    warmer.fromWindow({ kind: "start-server" }); // a second one is not started
    warmer.fromWindow({ kind: "stop-server" });
    await warmer.untilServer(is("ending"));
    const ended = await warmer.untilServer(is("ended"));
    expect(ended).toEqual({ state: "ended", name: "llama-server", by: 0 });
    expect(signals()).toEqual(["SIGTERM"]);
    const from = warmer.messages.length;
    warmer.fromWindow({ kind: "start-server" });
    await warmer.untilServer(isRunning, from);
    expect(run.events().filter((event) => event.started !== undefined).length).toBeLessThan(3);
  });

  it.each([
    ["a status", { code: 3 }, 3],
    ["a signal", { signal: "SIGKILL" }, "SIGKILL"],
  ])("that ends by itself is shown with %s", async (_, ending, by) => {
    const { warmer } = await host(started, { ending });
    warmer.fromWindow({ kind: "start-server" });
    expect(await warmer.untilServer(is("ended"))).toMatchObject({ by });
  });

  it.each(["SIGTERM", "SIGKILL", "SIGSEGV"] as const)(
    "ends with the utility process, by %s",
    async (signal) => {
      const run = await host(started, { lingersMs: 500 });
      await start(run);
      await run.warmer.end(signal);
      await until(() => run.processes().length === 0, "nothing was left");
      expect(run.signals()).toEqual(["SIGTERM"]);
    },
  );

  it("is killed when it does not end in time", async () => {
    const run = await host(started, { lingersMs: 60_000 });
    const pid = await start(run);
    await run.warmer.end("SIGKILL");
    await until(() => run.signals().length > 0, "it was asked");
    expect(run.processes()).toContain(pid);
    await until(() => run.processes().length === 0, "nothing was left");
  });

  it("ends with all that it has started", async () => {
    const run = await host((program) => ({
      command: ["/bin/sh", "-c", `'${program}' -m '${model.path}' & wait`],
    }));
    const pid = await start(run);
    await run.warmer.end("SIGKILL");
    await until(() => run.processes().length === 0, "nothing was left");
    expect(pid).toBeGreaterThan(0);
  });

  it("does not run without its guard", async () => {
    const run = await host(started);
    await start(run);
    const guard = run.processes().find((pid) => commandOf(pid).includes("read -r group"));
    process.kill(guard ?? Number.NaN, "SIGKILL");
    expect(await run.warmer.untilServer(is("ended"))).toMatchObject({ by: "SIGKILL" });
  });

  it("that cannot be started is told, and leaves no guard", async () => {
    const { warmer, processes } = await host(() => ({ command: ["/nowhere/llama-server"] }));
    warmer.fromWindow({ kind: "start-server" });
    const failed = await warmer.untilServer(is("failed"));
    expect(failed).toMatchObject({ message: expect.stringContaining("ENOENT") });
    await until(() => processes().length === 1, "the guard was gone");
  });

  it.each([
    [{ command: "llama-server -m model.gguf" }, "server.command must be a list of words"],
    [{ command: [] }, "server.command must be a list of words"],
    [{ command: ["llama-server", 8080] }, "server.command must be a list of words"],
    [{ command: ["llama-server"], ready: "soon" }, "server.ready must be an http: or https: URL"],
  ])("is refused as %j", async (server, message) => {
    const { warmer } = await host(() => server);
    const failed = await warmer.untilServer(() => true);
    expect(failed).toMatchObject({ state: "failed", message: expect.stringContaining(message) });
  });

  it("is found in the settings that the README shows", async () => {
    const readme = readFileSync(join(ROOT, "examples/electron/README.md"), "utf8");
    const [, shown = ""] = /^```json\n([\s\S]*?)^```$/m.exec(readme) ?? [];
    const { warmer } = await host(() => JSON.parse(shown).server);
    expect(await warmer.untilServer(() => true)).toEqual({ state: "idle", name: "llama-server" });
  });

  it("is none without settings, whatever the window says, and is found when they come", async () => {
    const { warmer, settings } = await host(() => undefined);
    expect(await warmer.untilServer(() => true)).toEqual({ state: "none" });
    const from = warmer.messages.length;
    warmer.fromWindow({ kind: "start-server" });
    expect(await warmer.untilServer(() => true, from)).toEqual({ state: "none" });
    writeFileSync(settings, "{");
    warmer.fromWindow({ kind: "start-server" });
    const failed = await warmer.untilServer(is("failed"));
    expect(failed).toMatchObject({ message: expect.stringMatching(/^settings-\d+\.json: /) });
  });
});

function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, "utf8");
}
