import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type WrittenModel, writeSyntheticModel } from "../models/synthetic-model.ts";
import { document, prefault } from "./cli-process.ts";

let folder: string;
let moe: string;
let written: WrittenModel;
let shards: readonly string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefault-cli-plan-"));
  moe = join(folder, "moe.gguf");
  written = await writeSyntheticModel({ kind: "moe", path: moe, layers: 4 });
  const split = { kind: "dense", path: join(folder, "split.gguf"), shards: 3 } as const;
  shards = (await writeSyntheticModel(split)).paths;
});
afterAll(() => rm(folder, { recursive: true }));

describe("plan", () => {
  it("lists every byte of the file when nothing is placed", async () => {
    const { totalBytes, regions } = await document("plan", moe);
    let end = 0;
    for (const { file, offset, byteLength, reason } of regions) {
      expect({ file, offset }).toEqual({ file: moe, offset: end });
      expect(reason).not.toBe("");
      end += byteLength;
    }
    expect(end).toBe(totalBytes);
    expect(regions.filter(({ tensor }: { tensor: string | null }) => tensor)).toHaveLength(
      written.tensors.length,
    );
  });

  it("lists what llama.cpp leaves on the CPU, and where everything else goes", async () => {
    const plan = await document("plan", moe, "-ngl", "2", "--cpu-moe");
    const names: string[] = plan.regions.map(({ tensor }: { tensor: string }) => tensor);
    expect(names).toContain("token_embd.weight");
    expect(names).toContain("blk.3.ffn_up_exps.weight");
    expect(names).not.toContain("blk.3.attn_q.weight");
    expect(names).not.toContain("output.weight");
    expect(plan).toMatchObject({
      pass: "llama.cpp",
      runs: [{ name: "core" }, { name: "experts" }],
    });
    const listed = plan.runs.map(({ regions }: { regions: number }) => regions);
    expect(listed[0] + listed[1]).toBe(names.length);
    expect(names.length + plan.elsewhere.length).toBe(written.tensors.length);
  });

  it("understands every spelling of llama.cpp", async () => {
    const long = ["--n-gpu-layers", "2", "--n-cpu-moe", "1", "--override-tensor", "attn_q=CPU"];
    const short = ["-ngl", "2", "-ncmoe", "1", "-ot", "attn_q=CPU"];
    const glued = ["--gpu-layers=2", "--n-cpu-moe=1", "-ot=attn_q=CPU"];
    const expected = await document("plan", moe, ...long);
    expect(await document("plan", moe, ...short)).toEqual(expected);
    expect(await document("plan", ...glued, moe)).toEqual(expected);
    const all = await document("plan", moe, "-ngl", "all");
    // llama.cpp's -1 is auto, and what is below it is all.
    expect(await document("plan", moe, "-ngl", "-2")).toEqual(all);
  });

  it("takes the first of several overrides, and --cpu-moe in the place where it stands", async () => {
    const isPlanned = async (...flags: string[]) => {
      const { regions } = await document("plan", moe, "-ngl", "99", ...flags);
      return regions.some(
        ({ tensor }: { tensor: string }) => tensor === "blk.0.ffn_up_exps.weight",
      );
    };
    expect(await isPlanned("-ot", "exps=CPU", "-ot", "blk.0=CUDA0")).toBe(true);
    expect(await isPlanned("-ot", "blk.0=CUDA0", "-ot", "exps=CPU")).toBe(false);
    expect(await isPlanned("-ot", "exps=CUDA0", "--cpu-moe")).toBe(false);
    expect(await isPlanned("--cpu-moe", "-ot", "exps=CUDA0")).toBe(true);
  });

  it("takes the flags that matter from a pasted llama-server command line", async () => {
    const line = `llama-server -c 4096 -m ${moe} -fa on --n_gpu_layers 2 -t 8 --cpu-moe --host ::1`;
    const expected = await document("plan", moe, "-ngl", "2", "-cmoe");
    const { stdout, code } = await prefault(["plan", "--json", "--", ...line.split(" ")]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual(expected);
  });

  it("plans a file of its own by the pasted line, and the line's own file too", async () => {
    const [first = ""] = shards;
    const { stdout } = await prefault(["plan", first, "--json", "--", "llama-cli", "-m", moe]);
    const { regions } = JSON.parse(stdout);
    expect(regions[0]).toMatchObject({ file: first });
    expect(regions.at(-1)).toMatchObject({ file: moe });
  });

  it("takes a line in one word, and one whose -- npm exec has taken", async () => {
    const expected = await document("plan", moe, "-ngl", "2");
    const line = `llama-server -m ${moe} -ngl 2`;
    for (const args of [["--", line], line.split(" ")]) {
      const { stdout } = await prefault(["plan", "--json", ...args]);
      expect(JSON.parse(stdout)).toEqual(expected);
    }
  });

  it("reads LLAMA_ARG_ variables of its own environment for a pasted line alone", async () => {
    const env = { LLAMA_ARG_N_GPU_LAYERS: "2", LLAMA_ARG_MODEL: moe };
    const { stdout } = await prefault(["plan", "--json", "--", "llama-server"], { env });
    expect(JSON.parse(stdout)).toEqual(await document("plan", moe, "-ngl", "2"));
    const whole = await prefault(["plan", moe, "--json"], { env });
    expect(JSON.parse(whole.stdout)).toMatchObject({ pass: null });
  });

  it("plans the draft model of a line too, and no tensor twice", async () => {
    const [draft = ""] = shards;
    const line = ["llama-server", "-m", moe, "-ngl", "0", "-md", draft, "-ngld", "99"];
    const { stdout } = await prefault(["plan", "--json", "--", ...line]);
    const files = JSON.parse(stdout).regions.map(({ file }: { file: string }) => file);
    expect(files.filter((file: string) => file === draft)).toHaveLength(1);
    const same = ["llama-server", "-m", moe, "-ngl", "0", "-md", moe, "-ngld", "99"];
    const twice = await prefault(["plan", "--json", "--", ...same]);
    const { totalBytes } = await document("plan", moe, "-ngl", "0");
    expect(JSON.parse(twice.stdout)).toMatchObject({ totalBytes });
  });

  it("prints a table grouped by reason, with shares and totals", async () => {
    const { stdout, code } = await prefault(["plan", moe, "-ngl", "99", "--cpu-moe"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^stays on the CPU and is warmed \(llama.cpp experts, .*\)\n {2}routed experts by --cpu-moe +12 ten/m,
    );
    expect(stdout).toMatch(
      /^goes to the GPU\n {2}attention on the GPU +\d+ tensors +.*iB +\d.* %$/m,
    );
    expect(stdout).toMatch(/^would be warmed +13 tensors .* %$/m);
  });
});
