import { once } from "node:events";
import { copyFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type BudgetModel, writeBudgetModel, writeCsvProfile } from "../helpers/budget-model.ts";
import { freePort, listensToSignals } from "../helpers/fake-server.ts";
import { until } from "../helpers/process-facts.ts";
import type { Ended } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { endWarming, type How, isUp, type Running, startRun } from "./started-run.ts";

// The processes, their signals and their mappings are looked up in /proc.
describe.skipIf(process.platform !== "linux")("a server that prefault run has started", () => {
  const folder = temporaryFolder();
  let model: BudgetModel;
  const profile = join(folder, "profile.csv");

  beforeAll(async () => {
    model = await writeBudgetModel(join(folder, "model.gguf"));
    writeCsvProfile(profile, model, 1.2, 0);
  });

  const run = (how?: How) => startRun(folder, model.path, how);

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
      await endWarming(running);
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
      await expectToRunOn(running, /Pre-faulted/);
      expect(asked).toEqual(["/health"]);
    });
  });

  /** Ends a server, which is to have had no signal before. */
  async function expectToRunOn(running: Running, said?: RegExp): Promise<Ended> {
    const { output } = running.prefault;
    if (said !== undefined) await until(() => said.test(output.stderr), `it said ${said}`);
    expect(running.signals()).toEqual([]);
    expect(running.processes().length).toBeGreaterThanOrEqual(2);
    running.prefault.kill("SIGTERM");
    const ended = await running.prefault.ended;
    expect(ended).toMatchObject({ code: 0, signal: null });
    return ended;
  }
});
