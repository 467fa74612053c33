import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type BudgetModel, cachedBytes, writeBudgetModel } from "../helpers/budget-model.ts";
import { hasFincore, writeDataFile } from "../helpers/data-file.ts";
import { makeMemoryCgroup } from "../helpers/memory-cgroup.ts";
import { evictAll } from "../helpers/page-cache.ts";
import { until } from "../helpers/process-facts.ts";
import { idleEngine } from "../helpers/reading-engine.ts";
import { startProcess } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { startScript } from "./run-script.ts";

const MIB = 1024 ** 2;

interface State {
  readonly ran: boolean;
  /** `undefined` before the first fill has ended. */
  readonly reason?: string;
  readonly refills?: number;
  readonly postponed?: number;
}

describe.skipIf(process.platform !== "linux" || !hasFincore)("kept warm in a cgroup", () => {
  const folder = temporaryFolder();
  let model: BudgetModel;
  let flood: string;

  beforeAll(async () => {
    model = await writeBudgetModel(join(folder, "model.gguf"), { layers: 8, experts: 32 });
    flood = writeDataFile(join(folder, "flood"), 640 * MIB);
  });

  /** Starts to keep the model in a group of its own, which ends with the test. */
  async function keep(limitBytes: number, skip: (why: string) => never) {
    await evictAll(...model.paths, flood);
    const made = makeMemoryCgroup(limitBytes);
    if (typeof made === "string") return skip(made);
    const cgroup = made.folder;
    const statePath = join(folder, `state-${limitBytes}`);
    onTestFinished(async () => {
      for (const each of running) {
        each.kill("SIGKILL");
        await each.ended;
      }
      await made.remove();
    });
    const options = { everyMs: 200, pid: idleEngine() };
    const running = [startScript("keep", { path: model.path, options, statePath }, { cgroup })];
    const state = (): State =>
      existsSync(statePath) ? JSON.parse(readFileSync(statePath, "utf8")) : { ran: false };
    /** A neighbour in the group that reads more than the group may have, until the file is gone. */
    const startFlood = () => {
      const sign = join(folder, "flooding");
      writeFileSync(sign, "");
      const script = 'while [ -e "$0" ]; do cat "$1" > /dev/null; done';
      const neighbour = startProcess(["sh", "-c", script, sign, flood], { cgroup });
      running.push(neighbour);
      return async () => {
        rmSync(sign);
        await neighbour.ended;
      };
    };
    return { cgroup, state, startFlood };
  }

  test("it is not filled again while a neighbour takes the memory, and comes back after", async ({
    skip,
  }) => {
    const { state, startFlood } = await keep(360 * MIB, skip);
    await until(() => state().ran, "it was filled");
    expect(cachedBytes(model.paths)).toBeGreaterThan(0.95 * model.bytes);
    const endFlood = startFlood();
    await until(() => cachedBytes(model.paths) < model.bytes / 2, "half of it was pushed out");
    await until(() => (state().postponed ?? 0) > 0, "it was postponed");
    expect(state().refills).toBe(0);
    await endFlood();
    const ended = performance.now();
    await until(() => (state().refills ?? 0) > 0, "it was filled again");
    console.log(`resident again ${Math.round(performance.now() - ended)} ms after the flood`);
    expect(cachedBytes(model.paths)).toBeGreaterThan(0.95 * model.bytes);
  });

  test("what a gate skips is filled when there is room", async ({ skip }) => {
    const { cgroup, state } = await keep(model.bytes + 16 * MIB, skip);
    await until(() => state().reason !== undefined, "the gate was asked");
    // What every token reads is filled, and the experts are not.
    expect(state().reason).toMatch(/; skipped: .* exceeds 80% of/);
    expect(cachedBytes(model.paths)).toBeLessThan(0.5 * model.bytes);
    expect(state().refills).toBe(0);
    const limit = ["memory.limit_in_bytes", "memory.max"].find((name) =>
      existsSync(join(cgroup, name)),
    );
    writeFileSync(join(cgroup, limit ?? ""), String(512 * MIB));
    await until(() => (state().refills ?? 0) > 0, "it was filled");
    expect(cachedBytes(model.paths)).toBeGreaterThan(0.95 * model.bytes);
  });
});
