import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { type BudgetModel, writeBudgetModel } from "../helpers/budget-model.ts";
import { until } from "../helpers/process-facts.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { endWarming, type How, isUp, startRun } from "./started-run.ts";

// The processes and their signals are looked up in /proc.
describe.skipIf(process.platform !== "linux")(
  "the command of prefault run gets once, and decides about,",
  () => {
    const folder = temporaryFolder();
    let model: BudgetModel;

    beforeAll(async () => {
      model = await writeBudgetModel(join(folder, "model.gguf"));
    });

    const run = (how?: How) => startRun(folder, model.path, how);

    /** Beside what the server gets for itself, to be sure that no second signal follows. */
    const ECHO_MS = 600;

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
        await endWarming(running);
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
  },
);
