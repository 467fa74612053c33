import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cp, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openModel, readProfile } from "prefault";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BudgetModel, writeBudgetModel, writeCsvProfile } from "../helpers/budget-model.ts";
import { type CountedTensor, oldImatrix, writeImatrix } from "../models/imatrix.ts";
import { prefault, start } from "./cli-process.ts";

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

async function json(args: readonly string[]) {
  const { code, stdout, stderr } = await prefault([...args, "--json"]);
  if (stdout === "") throw new Error(`exit ${code}: ${stderr}`);
  return { code, stderr, document: JSON.parse(stdout) };
}

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

describe("a profile of", () => {
  /** As `llama-imatrix` counts them: of the routed tensors of a model. */
  async function counted(blocks = 4, experts = 16): Promise<CountedTensor[]> {
    const { tensors } = await openModel(model.path);
    return tensors
      .filter(({ name }) => name.includes("_exps"))
      .filter(({ name }) => Number(/^blk\.(\d+)/.exec(name)?.[1]) < blocks)
      .map(({ name, shape }) => ({
        name,
        inputs: shape[0] ?? 0,
        counts: Array.from({ length: experts }, (_, expert) => 1000 >> (expert >> 1)),
      }));
  }
  const withProfile = (name: string) => [
    "warm",
    model.path,
    "--budget",
    "8M",
    "--profile",
    at(name),
  ];

  async function expectRefused(name: string, why: RegExp) {
    const ended = await prefault(withProfile(name));
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(why);
    expect(ended.stderr.trimEnd().split("\n").at(-1)).toMatch(/^prefault: /);
    expect(ended.stderr).not.toMatch(/\bat .*:\d+:\d+/);
    const { code, document } = await json(withProfile(name));
    expect(code).toBe(2);
    expect(JSON.stringify(document)).toContain("PREFAULT_INVALID_OPTION");
  }

  it("an imatrix serves under any suffix", async () => {
    await writeImatrix({ path: at("counts.gguf"), tensors: await counted() });
    await rename(at("counts.gguf"), at("imatrix_unsloth.gguf_file"));
    const { code, document } = await json(withProfile("imatrix_unsloth.gguf_file"));
    expect(code).toBe(0);
    const experts = document.runs.find(({ name }: { name: string }) => name === "experts").experts;
    expect(experts.coverage).toBeGreaterThan(0.5);
  });

  it("an imatrix without a block that computes is refused", async () => {
    await writeImatrix({ path: at("three.gguf"), tensors: await counted(3) });
    await expectRefused("three.gguf", /no counts for block 3, which has 16 routed experts/);
  });

  it("an imatrix of another model is refused", async () => {
    await writeImatrix({ path: at("other.gguf"), tensors: await counted(4, 32) });
    await expectRefused(
      "other.gguf",
      /of another model: it has 32 experts in block 0, and the model has 16/,
    );
  });

  it("the old .dat is refused with what it lacks", async () => {
    writeFileSync(at("imatrix.dat"), oldImatrix(["blk.0.ffn_gate_exps.weight"]));
    await expectRefused("imatrix.dat", /imatrix in the old format/);
  });

  it("a pickle is refused", async () => {
    writeFileSync(at("experts.pt"), Buffer.from("504b0304140000000000", "hex"));
    await expectRefused("experts.pt", /not a usable profile/);
  });

  it("a model in its place is refused", async () => {
    await expectRefused("model.gguf", /not a usable profile/);
  });

  it("a blank and a broken CSV are refused, with the line", async () => {
    writeFileSync(at("blank.csv"), "");
    await expectRefused("blank.csv", /empty/);
    writeFileSync(at("broken.csv"), "layer,expert,count\n0,1,3\n0,one,3\n");
    await expectRefused("broken.csv", /line 3/);
  });

  it("a model with an MTP head serves without counts for its block", async () => {
    const folder = await mkdtemp(join(tmpdir(), "prefault-cli-mtp-"));
    try {
      const mtp = await writeBudgetModel(join(folder, "mtp.gguf"), { kind: "gdn-moe" });
      const { tensors } = await openModel(mtp.path);
      const blocks = Math.max(
        ...tensors.map(({ name }) => Number(/^blk\.(\d+)/.exec(name)?.[1] ?? 0)),
      );
      const routed = tensors.filter(
        ({ name }) => name.includes("_exps") && !name.startsWith(`blk.${blocks}.`),
      );
      await writeImatrix({
        path: join(folder, "counts.gguf"),
        tensors: routed.map(({ name, shape }) => ({
          name,
          inputs: shape[0] ?? 0,
          counts: Array.from({ length: shape.at(-1) ?? 0 }, (_, expert) => 100 >> expert),
        })),
      });
      const { code, stderr } = await json([
        ...["plan", mtp.path, "--budget", "6M", "--profile", join(folder, "counts.gguf")],
      ]);
      expect(code, stderr).toBe(0);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("an imatrix beside the model is offered, and not used", async () => {
    const folder = await mkdtemp(join(tmpdir(), "prefault-cli-beside-"));
    try {
      await cp(model.path, join(folder, "model-Q4_K_M.gguf"));
      await writeImatrix({ path: join(folder, "model.imatrix.gguf"), tensors: await counted() });
      const args = ["plan", join(folder, "model-Q4_K_M.gguf"), "--budget", "8M"];
      const { document } = await json(args);
      expect(document.notes.join("\n")).toMatch(
        /model\.imatrix\.gguf says which experts .*--profile/,
      );
      expect(document.verdict.coverage).toBeNull();
    } finally {
      await rm(folder, { recursive: true });
    }
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
