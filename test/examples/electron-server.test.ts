import { readFileSync } from "node:fs";
import { join } from "node:path";
import { evict, residency } from "prefault";
import { beforeAll, describe, expect, it } from "vitest";
import { type BudgetModel, writeBudgetModel } from "../helpers/budget-model.ts";
import { type FakeServerConfig, freePort } from "../helpers/fake-server.ts";
import { until } from "../helpers/process-facts.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";
import { electronApp } from "./electron/app.ts";
import { is, isRunning, type Running, serverHost, start } from "./electron/server-host.ts";

// The fake server is a program of this system's, and what is left of it is looked up in /proc.
describe.skipIf(process.platform !== "linux")("the server of the example's settings", () => {
  const folder = temporaryFolder();
  let app: string;
  let model: BudgetModel;
  beforeAll(async () => {
    app = await electronApp();
    model = await writeBudgetModel(join(folder, "model.gguf"));
  });

  const host = (settings: (program: string) => object, config: FakeServerConfig = {}) =>
    serverHost(app, folder, settings, config);
  const started = (program: string) => ({ command: [program, "-m", model.path] });

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
});

function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, "utf8");
}
