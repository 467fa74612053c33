import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";
import { type WrittenModel, writeSyntheticModel } from "../models/synthetic-model.ts";
import { document, prefault } from "./cli-process.ts";

type Residency = { bytes: number; residentBytes: number };

let folder: string;
let moe: string;
let written: WrittenModel;
let shards: readonly string[];
const bytes = (model: WrittenModel) =>
  model.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefault-cli-"));
  moe = join(folder, "moe.gguf");
  written = await writeSyntheticModel({ kind: "moe", path: moe, layers: 4 });
  const split = { kind: "dense", path: join(folder, "split.gguf"), shards: 3 } as const;
  shards = (await writeSyntheticModel(split)).paths;
});
afterAll(() => rm(folder, { recursive: true }));

describe("what it says about itself", () => {
  it("helps, with examples and the kill switch", async () => {
    const { code, stdout, stderr } = await prefault(["--help"]);
    expect(stdout).toContain("Examples:");
    expect(stdout).toContain("SHARPI_PREFAULT");
    for (const flag of ["-ngl", "-cmoe", "-ncmoe", "-ot", "--engine", "--gate", "--workers"]) {
      expect(stdout).toContain(flag);
    }
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  it.each(["warm", "plan", "status", "evict", "keep", "record"])(
    "helps with %s",
    async (command) => {
      const { code, stdout } = await prefault([command, "--help"]);
      expect(code).toBe(0);
      expect(stdout).toContain(`prefault ${command}`);
    },
  );

  it("has the package's version", async () => {
    const { stdout } = await prefault(["--version"]);
    expect(stdout).toBe(`${manifest.version}\n`);
  });
});

describe("warm", () => {
  it("is the default, and reports every byte of the file", looksAtPageCache, async () => {
    const report = await document(moe);
    expect(report).toMatchObject({ label: "prefault", ran: true, reason: "auto" });
    expect(report.residentBytesAfter).toBeGreaterThan(mostOf(report.bytes));
    expect(await document("warm", moe)).toMatchObject({ bytes: report.bytes });
  });

  it("says one log line on stderr, without a progress bar when that is no terminal", async () => {
    const { stdout, stderr } = await prefault([moe]);
    expect(stderr).toMatch(
      /^\[prefault\] Pre-faulted 0\.00 GiB of CPU-resident weights in \d+\.\ds \(\d+\.\d GiB\/s\)\.\n$/,
    );
    expect(stdout).toMatch(/^resident: .* of .* now\n$/);
  });

  it("says nothing when quiet", async () => {
    expect(await prefault([moe, "--quiet"])).toMatchObject({ code: 0, stdout: "", stderr: "" });
  });

  it("takes several files, and counts the shards of one model once", async () => {
    const one = await document(shards[0] ?? "");
    expect(await document(...shards)).toMatchObject({ bytes: one.bytes });
    expect((await document(moe, ...shards)).files).toHaveLength(4);
  });

  it("reports every run of a pass that has several", async () => {
    const report = await document(moe, "--pass", "forward");
    expect(report.runs.map(({ label }: { label: string }) => label)).toEqual([
      "ForwardPass",
      "ForwardPass experts",
    ]);
    const runs: { bytes: number }[] = report.runs;
    expect(report.bytes).toBe(runs.reduce((sum, run) => sum + run.bytes, 0));
  });

  it("warms nothing with SHARPI_PREFAULT=0, and looks at no file either", async () => {
    const env = { SHARPI_PREFAULT: "0" };
    const missing = join(folder, "missing.gguf");
    for (const args of [[missing], [missing, "-ngl", "2"]]) {
      expect(await prefault(args, { env })).toMatchObject({
        code: 0,
        stdout: "",
        stderr: "[prefault] Pre-fault disabled (SHARPI_PREFAULT=0).\n",
      });
    }
  });

  it("is forced by SHARPI_PREFAULT=1", async () => {
    const { stdout } = await prefault([moe, "--json"], { env: { SHARPI_PREFAULT: "1" } });
    expect(JSON.parse(stdout)).toMatchObject({ ran: true, reason: "forced (SHARPI_PREFAULT=1)" });
  });
});

describe("status and evict", () => {
  it("tell what is resident, file by file and tensor by tensor", looksAtPageCache, async () => {
    const dropped = await document("evict", moe);
    expect(dropped.files).toMatchObject([{ path: moe, bytes: dropped.bytes }]);
    await document(moe);
    const { files, tensors } = await document("status", moe);
    expect(files).toMatchObject([{ path: moe, bytes: dropped.bytes }]);
    expect(tensors).toHaveLength(written.tensors.length);
    const whole = tensors.filter((tensor: Residency) => tensor.residentBytes === tensor.bytes);
    expect(whole.length).toBeGreaterThan(mostOf(tensors.length) - 1);
  });

  it("look at what a placement leaves on the CPU only", async () => {
    const { totalBytes } = await document("plan", moe, "-ngl", "99");
    const { bytes, tensors } = await document("status", moe, "-ngl", "99");
    expect(bytes).toBe(totalBytes);
    expect(tensors).toMatchObject([{ tensor: "token_embd.weight", file: moe }]);
  });

  it("draw a map: a line a file, a line a block, a cell a tensor", looksAtPageCache, async () => {
    await prefault([moe]);
    const { stdout } = await prefault(["status", moe]);
    expect(stdout).toMatch(/^.*moe\.gguf: .*iB, 100\.0 % resident\n {2}█+\n/);
    expect(stdout).toMatch(/^ {2}blk\.3 +12 tensors .* 100\.0 % {2}█{12}$/m);
    expect(stdout).toMatch(/^ {2}token_embd\.weight .* 100\.0 % {2}█$/m);
  });

  it("name the tensors of a model no more often than it has them", async () => {
    expect((await document("status", ...shards)).tensors).toEqual(
      (await document("status", shards[1] ?? "")).tensors,
    );
  });

  it("take any other file", async () => {
    const path = join(folder, "plain.bin");
    await writeFile(path, Buffer.alloc(10_000, 1));
    const { stdout } = await prefault(["status", path]);
    expect(stdout).toMatch(/plain\.bin: 9\.77 KiB, .* resident\n/);
  });
});

describe("files after --", () => {
  it("are files, whatever they are called, and none is dropped", async () => {
    const cwd = await mkdtemp(join(folder, "cwd-"));
    for (const name of ["-dash.gguf", "a.gguf", "plan", "llama-server"]) {
      await copyFile(moe, join(cwd, name));
    }
    const filesOf = async (...args: string[]) => {
      const { stdout } = await prefault([...args], { cwd });
      return JSON.parse(stdout).files.map(({ path }: { path: string }) => path);
    };
    expect(await filesOf("warm", "--json", "--", "-dash.gguf")).toEqual(["-dash.gguf"]);
    expect(await filesOf("--json", "--", "plan")).toEqual(["plan"]);
    expect(await filesOf("status", "a.gguf", "--json", "--", "plan")).toEqual(["a.gguf", "plan"]);
    expect(await filesOf("evict", "--json", "--", "llama-server")).toEqual(["llama-server"]);
    const line = ["evict", "--json", "--", "llama-server", "-m", "a.gguf", "-ngl", "auto"];
    expect(await filesOf(...line)).toEqual(["a.gguf"]);
  });

  it("that are missing are an error", async () => {
    const { code, stderr } = await prefault(["warm", "--", "/no/such.gguf"]);
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no such file/),
    });
  });
});

describe("a pasted line", () => {
  it("that was not wholly understood says so while it warms", async () => {
    const line = ["llama-server", "-m", moe, "-ngl", "2", "--gpu-magic"];
    const { code, stderr } = await prefault(["warm", "--", ...line]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^Note: --gpu-magic is unknown/m);
    const quiet = await prefault(["warm", "--quiet", "--", ...line]);
    expect(quiet.stderr).toBe("");
  });

  it("is not read when warming is disabled", async () => {
    const args = ["--", "llama-server", "-m", join(folder, "missing.gguf"), "-ngl", "auto"];
    const { code, stderr } = await prefault(args, { env: { SHARPI_PREFAULT: "0" } });
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringMatching(/disabled/) });
  });
});

describe("a file that is called like a command", () => {
  it("is reached by warm plan and by ./plan", async () => {
    const cwd = await mkdtemp(join(folder, "cwd-"));
    await copyFile(moe, join(cwd, "plan"));
    for (const args of [["warm", "plan"], ["./plan"]]) {
      const { stdout } = await prefault([...args, "--json"], { cwd });
      expect(JSON.parse(stdout)).toMatchObject({ ran: true });
    }
    expect((await prefault(["plan"], { cwd })).code).toBe(2);
  });

  it("is the command behind --json, too", async () => {
    const { stdout } = await prefault(["--json", "plan", moe]);
    expect(JSON.parse(stdout).totalBytes).toBeGreaterThan(bytes(written));
  });
});
