import { once } from "node:events";
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type BudgetModel, writeBudgetModel, writeCsvProfile } from "../helpers/budget-model.ts";
import {
  type FakeRun,
  type FakeServerConfig,
  fakeRun,
  freePort,
  listensToSignals,
} from "../helpers/fake-server.ts";
import { until } from "../helpers/process-facts.ts";
import type { ChildOptions, Ended, Started } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { start } from "../package/cli-process.ts";

// The processes, their signals and their mappings are looked up in /proc.
describe.skipIf(process.platform !== "linux")("a server that prefault run has started", () => {
  const folder = temporaryFolder();
  let model: BudgetModel;
  const profile = join(folder, "profile.csv");

  beforeAll(async () => {
    model = await writeBudgetModel(join(folder, "model.gguf"));
    writeCsvProfile(profile, model, 1.2, 0);
  });

  interface Running extends FakeRun {
    readonly prefault: Started;
  }

  interface How extends FakeServerConfig {
    /** Options of ours. */
    readonly own?: readonly string[];
    /** The command. @defaultValue the fake server with the model */
    readonly line?: (run: FakeRun) => readonly string[];
    readonly before?: ChildOptions["before"];
    readonly env?: NodeJS.ProcessEnv;
  }

  /** When the test is over, nothing of its run may be left, and nothing that it wrote. */
  function run({ own = [], line, before, env, ...config }: How = {}): Running {
    const fake = fakeRun(folder, config);
    const words = line?.(fake) ?? [fake.program, "-m", model.path];
    const prefault = start(["run", ...own, "--", ...words], {
      env: { ...fake.env, ...env },
      cwd: fake.cwd,
      ...(before && { before }),
    });
    onTestFinished(async ({ task }) => {
      try {
        if (task.result?.state === "fail") return;
        await until(() => fake.processes().length === 0, "the processes of the run were gone");
        expect(fake.written()).toEqual([]);
      } finally {
        for (const pid of fake.processes()) process.kill(pid, "SIGKILL");
      }
    });
    return { ...fake, prefault };
  }

  /** With its server ready, and a process beside it that warms. @returns the server's process */
  async function isUp({ ready, warmers }: FakeRun): Promise<number> {
    const server = await ready();
    await until(() => warmers().some(listensToSignals), "the warming process listened");
    return server;
  }

  /** Beside what the server gets for itself, to be sure that no second signal follows. */
  const ECHO_MS = 600;

  describe("that ends by itself passes on", () => {
    test.each([0, 1, 7, 255])("its status %i", async (code) => {
      const { prefault } = run({ ending: { code } });
      expect(await prefault.ended).toMatchObject({ code, signal: null, stdout: "" });
    });

    test.each([
      ["SIGKILL", 137],
      ["SIGSEGV", 139],
      ["SIGABRT", 134],
    ])("a death by %s as %i", async (signal, code) => {
      const { prefault } = run({ ending: { signal } });
      expect(await prefault.ended).toMatchObject({ code, signal: null });
    });

    // What a service manager takes for a clean end has to stay one.
    test.each(["SIGTERM", "SIGINT", "SIGHUP"])("a death by %s as that death", async (signal) => {
      const { prefault } = run({
        line: () => ["sh", "-c", `trap - ${signal.slice(3)}; kill -${signal.slice(3)} $$`],
      });
      expect(await prefault.ended).toMatchObject({ code: null, signal });
    });
  });

  describe("gets once, and decides about,", () => {
    test.each(["SIGTERM", "SIGINT"] as const)("a %s to prefault alone", async (signal) => {
      const running = run({ lingersMs: ECHO_MS });
      await isUp(running);
      running.prefault.kill(signal);
      expect(await running.prefault.ended).toMatchObject({ code: 0, signal: null });
      expect(running.signals()).toEqual([signal]);
    });

    test.each(["SIGTERM", "SIGINT"] as const)("a %s to the whole group", async (signal) => {
      const running = run({ before: ["setsid"], lingersMs: ECHO_MS });
      await isUp(running);
      process.kill(-running.prefault.pid, signal);
      expect(await running.prefault.ended).toMatchObject({ code: 0, signal: null });
      expect(running.signals()).toEqual([signal]);
    });

    test.each(["SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT"] as const)(
      "a %s, which ends none of the processes",
      async (signal) => {
        const running = run({ before: ["setsid"] });
        await isUp(running);
        running.prefault.kill(signal);
        await until(() => running.signals().length > 0, "the signal was passed on");
        process.kill(-running.prefault.pid, signal);
        await until(() => running.signals().length > 1, "the group got it");
        await sleep(ECHO_MS);
        expect(running.signals()).toEqual([signal, signal]);
        expect(running.processes()).toHaveLength(3);
        running.prefault.kill("SIGTERM");
        expect(await running.prefault.ended).toMatchObject({ code: 0, signal: null });
      },
    );

    test("a SIGTERM to the whole group while the warming process starts", async () => {
      // At each moment of its first half second.
      for (let round = 0; round < 10; round++) {
        const running = run({ before: ["setsid"], lingersMs: ECHO_MS });
        await until(
          () => running.events().some(({ started }) => started !== undefined),
          "the server has its handlers",
        );
        await sleep(30 * round);
        process.kill(-running.prefault.pid, "SIGTERM");
        expect(await running.prefault.ended).toMatchObject({ code: 0, signal: null });
        expect(running.signals(), `after ${30 * round} ms`).toEqual(["SIGTERM"]);
      }
    });

    test.each([
      ["nothing is warmed", { PREFAULT: "0" }],
      ["the warming process is gone", {}],
    ])("a SIGTERM, and others, to the whole group where %s", async (_, env) => {
      const running = run({ before: ["setsid"], lingersMs: ECHO_MS, env });
      if ("PREFAULT" in env) await running.ready();
      else {
        await isUp(running);
        for (const pid of running.warmers()) process.kill(pid, "SIGKILL");
        await until(() => running.warmers().length === 0, "the warming process was gone");
      }
      const signals = ["SIGHUP", "SIGUSR1", "SIGTERM"] as const;
      for (const [round, signal] of signals.entries()) {
        await until(() => running.processes().length === 3, "a witness of signals was there");
        // It is a witness as soon as it is another program than this one.
        await sleep(50);
        process.kill(-running.prefault.pid, signal);
        await until(() => running.signals().length === round + 1, "the group got it");
        if (signal !== "SIGTERM") await sleep(ECHO_MS);
      }
      expect(await running.prefault.ended).toMatchObject({ code: 0, signal: null });
      expect(running.signals()).toEqual(signals);
    });

    test("two signals to the whole group at once, where nothing is warmed", async () => {
      // As systemd sends them with SendSIGHUP.
      const env = { PREFAULT: "0" };
      const running = run({ before: ["setsid"], lingersMs: ECHO_MS, env });
      await running.ready();
      await until(() => running.processes().length === 3, "a witness of signals was there");
      await sleep(50);
      for (const signal of ["SIGTERM", "SIGHUP"] as const) {
        process.kill(-running.prefault.pid, signal);
      }
      expect(await running.prefault.ended).toMatchObject({ code: 0, signal: null });
      expect([...running.signals()].sort()).toEqual(["SIGHUP", "SIGTERM"]);
    });

    test("a signal where there is no witness to be had, and it runs on", async () => {
      const empty = join(folder, "no-programs");
      mkdirSync(empty, { recursive: true });
      const running = run({
        before: ["env", `PATH=${empty}`],
        lingersMs: ECHO_MS,
        env: { PREFAULT: "0" },
        line: ({ program }) => ["/bin/sh", "-c", `PATH=${process.env["PATH"]} exec "$0"`, program],
      });
      await running.ready();
      running.prefault.kill("SIGTERM");
      expect(await running.prefault.ended).toMatchObject({ code: 0, signal: null });
      expect(running.signals()).toEqual(["SIGTERM"]);
    });

    test("a second SIGTERM, which llama-server takes for the wish to end at once", async () => {
      const running = run({ lingersMs: 60_000 });
      await isUp(running);
      running.prefault.kill("SIGTERM");
      await until(() => running.signals().length === 1, "the first was passed on");
      running.prefault.kill("SIGTERM");
      expect(await running.prefault.ended).toMatchObject({ code: 1, signal: null });
      expect(running.signals()).toEqual(["SIGTERM", "SIGTERM"]);
    });
  });

  describe("runs on", () => {
    /** Kills prefault. Its streams stay open, since the server has them as well. */
    async function kill({ prefault, processes }: Running): Promise<void> {
      prefault.kill("SIGKILL");
      await until(() => !processes().includes(prefault.pid), "prefault was gone");
    }

    test("when prefault is killed, and the warming process ends", async () => {
      const running = run();
      const server = await isUp(running);
      await kill(running);
      await until(() => running.warmers().length === 0, "the warming process ended");
      expect(running.processes()).toEqual([server]);
      expect(running.signals()).toEqual([]);
      process.kill(server, "SIGTERM");
    });

    test("when prefault is killed while the warming process starts", async () => {
      for (let round = 0; round < 5; round++) {
        const running = run();
        const server = await running.ready();
        await sleep(40 * round);
        await kill(running);
        await until(() => running.warmers().length === 0, "the warming process ended");
        expect(running.processes()).toEqual([server]);
        process.kill(server, "SIGTERM");
      }
    });

    test("when the warming process is killed, and its status is passed on", async () => {
      const running = run();
      await isUp(running);
      for (const pid of running.warmers()) process.kill(pid, "SIGKILL");
      await until(() => running.warmers().length === 0, "the warming process was gone");
      // And one that stands in for it as a witness of signals.
      await until(() => running.processes().length === 3, "another took its place");
      running.prefault.kill("SIGTERM");
      const ended = await running.prefault.ended;
      expect(ended).toMatchObject({ code: 0, signal: null });
      expect(running.signals()).toEqual(["SIGTERM"]);
      expect(ended.stderr).not.toMatch(/\bat .*:\d+:\d+/);
    });

    test("when the model is deleted meanwhile", async () => {
      const copy = join(folder, "copy.gguf");
      copyFileSync(model.path, copy);
      const running = run({
        maps: true,
        loadMs: 1500,
        own: ["--budget", "8M"],
        line: ({ program }) => [program, "-m", copy, "--port", "1"],
      });
      await until(() => running.events().some(({ mapped }) => mapped), "the model was mapped");
      rmSync(copy);
      await isUp(running);
      await sleep(500);
      await expectToRunOn(running);
    });

    test("when its model is not there", async () => {
      const running = run({ line: ({ program }) => [program, "-m", "/nowhere/model.gguf"] });
      await isUp(running);
      const { stderr } = await expectToRunOn(running);
      expect(stderr).toMatch(/\/nowhere\/model\.gguf/);
      expect(stderr.trim().split("\n")).toHaveLength(1);
    });

    test.each([
      ["a pattern matches no tensor", ["-ot", "nothing_like_it=CPU"], /nothing_like_it/],
      ["the profile is not there", ["--profile", "/nowhere.csv", "--budget", "1M"], /nowhere\.csv/],
    ])("when %s", async (_, own, why) => {
      const running = run({ own });
      await isUp(running);
      const { stderr } = await expectToRunOn(running, why);
      expect(stderr).not.toMatch(/\bat .*:\d+:\d+/);
    });
  });

  test.skipIf(process.getuid?.() !== 0)("runs on when no signal may be sent to it", async () => {
    // As to sudo by who called it.
    const running = run({
      before: ["setpriv", "--bounding-set=-kill", "--inh-caps=-kill"],
      line: () => ["setpriv", "--reuid=65534", "--clear-groups", "sleep", "4"],
    });
    await until(() => running.warmers().some(listensToSignals), "the warming process listened");
    for (const signal of ["SIGTERM", "SIGHUP", "SIGTERM"] as const) {
      running.prefault.kill(signal);
      await sleep(500);
    }
    const ended = await running.prefault.ended;
    expect(ended).toMatchObject({ code: 0, signal: null });
    expect(ended.stderr).not.toMatch(/\bat .*:\d+:\d+/);
  });

  describe("is waited for", () => {
    const part = ["--budget", "8M", "--profile", profile];

    test("until it answers, when a part of its model is warmed", async () => {
      const port = await freePort();
      const running = run({
        maps: true,
        loadMs: 2000,
        own: part,
        line: ({ program }) => [program, "-m", model.path, "--port", `${port}`],
      });
      await isUp(running);
      const { stderr } = await expectToRunOn(running, /Pre-faulted/);
      expect(stderr).toContain(`waits for http://127.0.0.1:${port}/health`);
    });

    test("by what it reads, when another server has its port", async () => {
      const asked: string[] = [];
      const another = createServer((request, response) => {
        asked.push(request.url ?? "");
        response.end("{}");
      }).listen(0, "127.0.0.1");
      onTestFinished(() => void another.close());
      await once(another, "listening");
      const { port } = another.address() as AddressInfo;
      const running = run({
        maps: true,
        answers: false,
        own: part,
        line: ({ program }) => [program, "-m", model.path, "--port", `${port}`],
      });
      await isUp(running);
      // Three quiet seconds are the sign.
      await sleep(5000);
      await expectToRunOn(running, /Pre-faulted/);
      expect(asked).toEqual(["/health"]);
    });
  });

  /** Ends a server, which is to have had no signal before. */
  async function expectToRunOn(running: Running, said?: RegExp): Promise<Ended> {
    if (said !== undefined) await sleep(1500);
    expect(running.signals()).toEqual([]);
    expect(running.processes().length).toBeGreaterThanOrEqual(2);
    running.prefault.kill("SIGTERM");
    const ended = await running.prefault.ended;
    expect(ended).toMatchObject({ code: 0, signal: null });
    if (said !== undefined) expect(ended.stderr).toMatch(said);
    return ended;
  }
});
