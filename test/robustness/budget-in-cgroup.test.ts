import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import {
  type BudgetModel,
  cachedBytes,
  writeBudgetModel,
  writeCsvProfile,
} from "../helpers/budget-model.ts";
import { hasFincore } from "../helpers/data-file.ts";
import { makeMemoryCgroup } from "../helpers/memory-cgroup.ts";
import { evictAll } from "../helpers/page-cache.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { runScript } from "./run-script.ts";

const MIB = 1024 ** 2;

interface Ended {
  readonly ran: boolean;
  readonly code: string | null;
  readonly reason: string;
  readonly notes: readonly string[];
  readonly budgetBytes: number;
  readonly runs: readonly {
    readonly name: string;
    readonly plannedBytes: number;
    readonly leftOutBytes: number;
    readonly residentBytesAfter: number;
  }[];
}

describe.skipIf(process.platform !== "linux" || !hasFincore)("in half a model's memory", () => {
  const folder = temporaryFolder();
  let model: BudgetModel;
  let profile: string;

  beforeAll(async () => {
    const shape = { layers: 12, experts: 32, hidden: 1024, expertFeedForward: 768 };
    model = await writeBudgetModel(join(folder, "model.gguf"), shape);
    profile = join(folder, "profile.csv");
    writeCsvProfile(profile, model, 1, 0);
  }, 120_000);

  async function fill(
    options: object,
    env: Record<string, string>,
    skip: (why: string) => never,
    takenShare = 0,
  ): Promise<Ended & { readonly cached: number; readonly limitBytes: number }> {
    const limitBytes = Math.floor(model.bytes / 2);
    // What is cached already is another group's, and costs this one nothing.
    await evictAll(...model.paths);
    const cgroup = makeMemoryCgroup(limitBytes);
    if (typeof cgroup === "string") return skip(cgroup);
    try {
      const takenBytes = Math.floor(takenShare * limitBytes);
      const argument = { path: model.path, options, takenBytes };
      const child = await runScript("budget", argument, { cgroup: cgroup.folder, env });
      expect(child).toMatchObject({ code: 0, signal: null });
      const ended = JSON.parse(child.stdout) as Ended;
      return { ...ended, cached: cachedBytes(model.paths), limitBytes };
    } finally {
      await cgroup.remove();
    }
  }

  const planned = ({ runs }: Ended) => runs.reduce((sum, run) => sum + run.plannedBytes, 0);

  test.for([
    ["auto", {}],
    ["auto, forced", { PREFAULT: "1" }],
  ] as const)(
    "a budget of %s is below the limit, and stays resident",
    async ([, env], { skip }) => {
      // The model is smaller than what an engine needs beside it: the default would leave nothing.
      const options = { budget: "auto", reserveBytes: 16 * MIB, profile };
      const ended = await fill(options, env, skip);
      expect(ended).toMatchObject({ ran: true, code: null });
      expect(ended.budgetBytes).toBeGreaterThan(0.3 * ended.limitBytes);
      expect(ended.budgetBytes).toBeLessThan(0.8 * ended.limitBytes);
      expect(ended.runs.map(({ name }) => name)).toEqual(["core", "experts"]);
      expect(ended.runs[0]?.leftOutBytes).toBe(0);
      expect(ended.cached).toBeLessThanOrEqual(ended.budgetBytes);
      expect(planned(ended)).toBeGreaterThan(0.97 * ended.budgetBytes);
      expect(ended.cached).toBeGreaterThanOrEqual(0.97 * planned(ended));
    },
  );

  test("a budget by number is kept to as well", async ({ skip }) => {
    const budget = Math.floor(0.3 * model.bytes);
    const ended = await fill({ budget, profile }, {}, skip);
    expect(ended).toMatchObject({ ran: true, code: null, budgetBytes: budget });
    expect(ended.cached).toBeLessThanOrEqual(budget);
    expect(ended.cached).toBeGreaterThanOrEqual(0.97 * planned(ended));
  });

  test("a budget above the limit ends early, keeps what it has and says so", async ({ skip }) => {
    const budget = Math.floor(0.9 * model.bytes);
    const ended = await fill({ budget, profile }, { PREFAULT: "1" }, skip);
    expect(ended.ran).toBe(true);
    expect(ended.code).toBe("PREFAULT_OUT_OF_MEMORY");
    // Not evicted by what came after it.
    const [core] = ended.runs;
    expect(core?.residentBytesAfter).toBeGreaterThanOrEqual(0.97 * (core?.plannedBytes ?? 0));
    expect(ended.cached).toBeGreaterThan(0.6 * ended.limitBytes);
    expect(ended.cached).toBeLessThanOrEqual(ended.limitBytes);
  });

  test("a budget of auto ends early where others take the memory meanwhile", async ({ skip }) => {
    // The gate would skip the experts as a whole.
    const options = { budget: "auto", gate: "always", reserveBytes: 16 * MIB, profile };
    const ended = await fill(options, {}, skip, 0.4);
    expect(ended).toMatchObject({ ran: true, code: "PREFAULT_OUT_OF_MEMORY" });
    expect(ended.reason).toMatch(
      /beside what was read, and the budget leaves 16\.00 MiB to others/,
    );
    const [core, experts] = ended.runs;
    expect(core?.residentBytesAfter).toBeGreaterThanOrEqual(0.97 * (core?.plannedBytes ?? 0));
    expect(experts?.residentBytesAfter).toBeGreaterThan(0.1 * ended.limitBytes);
    expect(ended.cached).toBeLessThan(0.6 * ended.limitBytes);
  });

  test("without a budget the core alone is warmed, and the note says how to get more", async ({
    skip,
  }) => {
    const ended = await fill({}, {}, skip);
    expect(ended.ran).toBe(true);
    expect(ended.reason).toMatch(/skipped: \d\.\d\d GiB exceeds 80% of/);
    expect(ended.notes.join()).toMatch(/--budget auto.*--profile FILE/);
    expect(ended.cached).toBeLessThan(0.3 * ended.limitBytes);
    expect(ended.cached).toBeGreaterThan(0);
  });
});
