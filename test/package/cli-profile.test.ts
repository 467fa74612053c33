import { writeFileSync } from "node:fs";
import { cp, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openModel } from "prefault";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BudgetModel, writeBudgetModel, writeCsvProfile } from "../helpers/budget-model.ts";
import { type CountedTensor, oldImatrix, writeImatrix } from "../models/imatrix.ts";
import { json, prefault } from "./cli-process.ts";

let folder: string;
let model: BudgetModel;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefault-cli-profile-"));
  model = await writeBudgetModel(at("model.gguf"));
  writeCsvProfile(at("profile.csv"), model, 1.2, 0);
});
afterAll(() => rm(folder, { recursive: true }));

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
