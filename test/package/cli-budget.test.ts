import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readProfile } from "prefault";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BudgetModel, writeBudgetModel, writeCsvProfile } from "../helpers/budget-model.ts";
import { json, prefault, start } from "./cli-process.ts";

const MIB = 1024 ** 2;

let folder: string;
let model: BudgetModel;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefault-cli-budget-"));
  model = await writeBudgetModel(at("model.gguf"));
  writeCsvProfile(at("profile.csv"), model, 1.2, 0);
});
afterAll(() => rm(folder, { recursive: true }));

describe("--budget", () => {
  it.each([
    ["24G", 24 * 1024 ** 3],
    ["24GiB", 24 * 1024 ** 3],
    ["24gb", 24 * 1024 ** 3],
    ["512MiB", 512 * MIB],
    ["512m", 512 * MIB],
    ["1.5M", 1.5 * MIB],
    ["64 KiB", 65_536],
    ["1048576", MIB],
    ["1048576B", MIB],
    ["0", 0],
  ])("takes %s", async (budget, bytes) => {
    const { code, document } = await json(["plan", model.path, "--budget", budget]);
    expect(code).toBe(0);
    expect(document.budgetBytes).toBe(bytes);
  });

  it("takes a percentage of what is available, and auto", async () => {
    const all = await json(["plan", model.path, "--budget", "100%"]);
    const half = await json(["plan", model.path, "--budget", "50%"]);
    const auto = await json(["plan", model.path, "--budget", "auto"]);
    expect(half.document.budgetBytes / all.document.budgetBytes).toBeGreaterThan(0.3);
    expect(half.document.budgetBytes / all.document.budgetBytes).toBeLessThan(0.7);
    expect(auto.document.budgetBytes).toBeLessThan(all.document.budgetBytes);
  });

  it.each(["", "much", "-1", "-5%", "0%", "101%", "%", "12X", "1e9", "24 G B", "Infinity", "NaN"])(
    "refuses '%s' with exit 2",
    async (budget) => {
      for (const command of ["warm", "plan"]) {
        const ended = await prefault([command, model.path, `--budget=${budget}`]);
        expect(ended, budget).toMatchObject({ code: 2, stdout: "" });
        expect(ended.stderr).toMatch(/--budget/);
        expect(ended.stderr).not.toMatch(/\bat .*:\d+:\d+/);
      }
    },
  );

  it.each(["--reserve=x", "--reserve=10%", "--every=0", "--for=soon", "--every=-1s"])(
    "refuses %s with exit 2",
    async (flag) => {
      const command = flag.startsWith("--reserve") ? "warm" : "record";
      const ended = await prefault([command, model.path, flag]);
      expect(ended).toMatchObject({ code: 2, stdout: "" });
    },
  );

  it("leaves --reserve to the engine", async () => {
    const little = await json(["plan", model.path, "--budget", "auto", "--reserve", "0"]);
    const more = await json(["plan", model.path, "--budget", "auto", "--reserve", "999T"]);
    expect(little.document.budgetBytes).toBeGreaterThan(0);
    expect(more.document.budgetBytes).toBe(0);
  });
});

describe("plan", () => {
  it("gives a verdict on a budget and a profile", async () => {
    const args = ["plan", model.path, "--budget", "8M", "--profile", at("profile.csv")];
    const { code, document } = await json(args);
    expect(code).toBe(0);
    const { verdict, runs } = document;
    expect(verdict).toMatchObject({ worth: "worth it", sentence: expect.any(String) });
    expect(verdict.coverage).toBeGreaterThan(verdict.unranked);
    expect(verdict.uniform).toBeGreaterThanOrEqual(verdict.unranked - 0.01);
    expect(verdict.cycleBytes).toBeGreaterThan(0);
    expect(runs.map(({ name }: { name: string }) => name)).toEqual(["core", "experts"]);
    const planned = runs.reduce(
      (sum: number, run: { plannedBytes: number }) => sum + run.plannedBytes,
      0,
    );
    expect(planned).toBeLessThanOrEqual(8 * MIB);
    expect(planned + runs[1].leftOutBytes).toBe(model.bytes);

    const { stdout } = await prefault(args);
    expect(stdout).toContain("Worth it: the budget covers");
    expect(stdout).toContain("does not fit the budget");
  });

  it("says when a budget is below one token's cycle, and when use is flat", async () => {
    const few = await json(["plan", model.path, "--budget", "3M", "--profile", at("profile.csv")]);
    expect(few.document.verdict.worth).toBe("core only");
    writeCsvProfile(at("flat.csv"), model, 0, 0);
    const flat = await json(["plan", model.path, "--budget", "8M", "--profile", at("flat.csv")]);
    expect(flat.document.verdict.worth).toBe("worth little");
    const none = await json(["plan", model.path, "--budget", "8M"]);
    expect(none.document.verdict).toMatchObject({ worth: "unknown", coverage: null });
  });

  it("has no verdict without a budget", async () => {
    const { document } = await json(["plan", model.path]);
    expect(document).toMatchObject({ verdict: null, budgetBytes: null });
  });
});

describe("warm", () => {
  it("says what a budget was spent on", async () => {
    const { code, document } = await json([
      "warm",
      model.path,
      "--budget",
      "8M",
      "--profile",
      at("profile.csv"),
    ]);
    expect(code).toBe(0);
    expect(document).toMatchObject({ budgetBytes: 8 * MIB, ran: true });
    expect(document.runs.map(({ name }: { name: string }) => name)).toEqual(["core", "experts"]);
    const { stderr } = await prefault(["warm", model.path, "--budget", "8M"]);
    expect(stderr).toMatch(/a budget of 8\.00 MiB/);
  });
});

describe("record", () => {
  it("writes what is resident, which warms the same again", async () => {
    await prefault(["evict", model.path]);
    await prefault(["warm", model.path, "--budget", "8M", "--profile", at("profile.csv")]);
    const { code, stdout } = await prefault([
      "record",
      model.path,
      "--once",
      "-o",
      at("warm.json"),
    ]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/1 look at 4 layers of 16 experts/);
    expect(await readProfile(at("warm.json"))).toMatchObject({
      samples: 1,
      layers: 4,
      experts: 16,
    });
    const plan = await json(["plan", model.path, "--budget", "8M", "--profile", at("warm.json")]);
    expect(plan.document.verdict.coverage).toBeGreaterThan(0.8);
    // A second recording replaces the first.
    expect((await prefault(["record", model.path, "--once", "-o", at("warm.json")])).code).toBe(0);
    expect((await readdir(folder)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  it.each(["model.gguf", "text"])("does not overwrite %s", async (name) => {
    if (name === "text") writeFileSync(at(name), "somebody's notes");
    const { mtimeMs, size } = statSync(at(name));
    const ended = await prefault(["record", model.path, "--once", "-o", at(name)]);
    expect(ended).toMatchObject({ code: 2, stdout: "" });
    expect(ended.stderr).toMatch(/is there already, and is no profile: it is not overwritten/);
    expect(statSync(at(name))).toMatchObject({ mtimeMs, size });
  });

  it("asks for a file, and for one model with experts", async () => {
    expect((await prefault(["record", model.path, "--once"])).stderr).toMatch(/-o PROFILE/);
    const dense = await writeBudgetModel(at("dense.gguf"), { kind: "dense" });
    const none = await prefault(["record", dense.path, "--once", "-o", at("none.json")]);
    expect(none.code).toBe(1);
    expect(none.stderr).toMatch(/no routed experts to record/);
    const two = await prefault(["record", model.path, dense.path, "--once", "-o", at("none.json")]);
    expect(two.stderr).toMatch(/2 were given/);
    rmSync(dense.path);
  });

  it.skipIf(process.platform === "win32")(
    "writes what there is on Ctrl-C, and is done",
    async () => {
      const args = ["record", model.path, "--every", "100ms", "-o", at("interrupted.json")];
      const recording = start(args);
      await sleep(4000);
      recording.kill("SIGINT");
      expect((await recording.ended).code).toBe(0);
      expect(JSON.parse(readFileSync(at("interrupted.json"), "utf8")).samples).toBeGreaterThan(1);
    },
  );

  it.skipIf(process.platform === "win32")("is interrupted where it cannot write", async () => {
    const args = ["record", model.path, "--every", "100ms", "-o", at("no/such/folder.json")];
    const recording = start(args);
    await sleep(4000);
    recording.kill("SIGINT");
    const { code, stderr } = await recording.ended;
    expect(code).toBe(130);
    expect(stderr).toContain("folder.json");
  });

  it("ends by itself after --for", async () => {
    const args = ["record", model.path, "--every", "50ms", "--for", "300ms", "-o", at("for.json")];
    expect((await prefault(args)).code).toBe(0);
    const { samples } = await readProfile(at("for.json"));
    expect(samples).toBeGreaterThan(1);
    expect(samples).toBeLessThan(12);
  });
});

describe("status", () => {
  it("shows experts, a line a layer, the hottest first with a profile", async () => {
    await prefault(["evict", model.path]);
    execFileSync("sync");
    await prefault(["warm", model.path, "--budget", "8M", "--profile", at("profile.csv")]);
    const { document } = await json(["status", model.path]);
    expect(document.experts).toHaveLength(4);
    for (const { whole, partly, none } of document.experts) expect(whole + partly + none).toBe(16);
    const wholes = document.experts.map(({ whole }: { whole: number }) => whole);
    expect(Math.max(...wholes)).toBeGreaterThan(0);
    expect(Math.min(...wholes)).toBeLessThan(16);

    const { stdout } = await prefault(["status", model.path]);
    expect(stdout).toContain("routed experts, a line a layer, by number");
    expect(stdout).toMatch(/blk\.3 +\d+ whole +\d+ partly +\d+ not/);
    const ranked = await prefault(["status", model.path, "--profile", at("profile.csv")]);
    expect(ranked.stdout).toContain("those used most first");
  });
});
