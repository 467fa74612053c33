import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ggufBytes, stringEntry, tensorInfo } from "../helpers/gguf-bytes.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { prefault } from "./cli-process.ts";

let folder: string;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefault-cli-"));
  await mkdir(at("set"));
  await writeSyntheticModel({ kind: "dense", path: at("set/a.gguf") });
  await writeSyntheticModel({ kind: "moe", path: at("set/c.gguf") });
  await writeFile(at("set/b.gguf"), "not a model");
  await mkdir(at("companions"));
  await writeSyntheticModel({ kind: "moe", path: at("companions/model.gguf") });
  const types = { mmproj: "v.patch_embd.weight", imatrix: "blk.0.attn_q.weight.in_sum2" };
  for (const [type, name] of Object.entries(types)) {
    const entries = [stringEntry("general.type", type)];
    const bytes = ggufBytes({ entries, tensors: [tensorInfo({ name })] });
    await writeFile(at(`companions/${type}.gguf`), bytes);
  }
});
afterAll(() => rm(folder, { recursive: true }));

describe.each([
  ["warm", []],
  ["warm", ["-ngl", "1"]],
  ["plan", []],
  ["plan", ["-ngl", "1"]],
  ["status", ["-ngl", "1"]],
] as const)("%s %j of a folder with a broken model", (command, placement) => {
  it("names the broken one, does the others, and fails at the end", async () => {
    const args = [command, at("set"), ...placement];
    const plain = await prefault(args);
    expect(plain.code).toBe(1);
    expect(plain.stdout).not.toBe("");
    const said = plain.stderr.split("\n").filter((line) => line.startsWith("prefault: "));
    expect(said).toEqual([expect.stringContaining(at("set/b.gguf"))]);

    const json = await prefault([...args, "--json"]);
    expect(json.code).toBe(1);
    const { failures } = JSON.parse(json.stdout);
    expect(failures).toEqual([
      expect.objectContaining({
        path: at("set/b.gguf"),
        offset: 0,
        byteLength: 0,
        code: "PREFAULT_INVALID_MODEL",
        message: expect.stringContaining("does not begin with GGUF"),
      }),
    ]);
  });
});

describe.each(["evict", "status"])("%s of a folder with a broken model", (command) => {
  it("takes it as the bytes it is", async () => {
    const { code, stdout } = await prefault([command, at("set"), "--json"]);
    expect(code).toBe(0);
    const { files, failures, notes } = JSON.parse(stdout);
    expect(files).toHaveLength(3);
    expect({ failures, notes }).toEqual({
      failures: [],
      notes: [expect.stringContaining("opened as a plain file")],
    });
  });
});

describe("several operands", () => {
  it("are reported as one document, with what went wrong beside what was done", async () => {
    const args = [at("absent.gguf"), at("set/a.gguf"), "--json"];
    const { code, stdout } = await prefault(args);
    const report = JSON.parse(stdout);
    expect(code).toBe(1);
    expect(report).toMatchObject({
      ran: true,
      error: { code: "PREFAULT_NOT_FOUND" },
      failures: [{ path: at("absent.gguf"), code: "PREFAULT_NOT_FOUND", errno: "ENOENT" }],
      files: [{ path: at("set/a.gguf") }],
    });
    expect(report.residentBytesAfter).not.toBeNull();
  });

  it("of which none can be opened are each named", async () => {
    const { code, stdout, stderr } = await prefault([at("absent.gguf"), at("set/b.gguf")]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^prefault: .*absent\.gguf.*\nprefault: .*b\.gguf.*\n$/);
  });
});

describe("what is no model of its own", () => {
  it("is warmed as a whole beside a placed model, or left out, each with a note", async () => {
    const { code, stdout, stderr } = await prefault([
      "plan",
      at("companions"),
      "-ngl",
      "1",
      "--json",
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const { regions, notes } = JSON.parse(stdout);
    const files = new Set(regions.map(({ file }: { file: string }) => file));
    expect([...files].sort()).toEqual([at("companions/mmproj.gguf"), at("companions/model.gguf")]);
    expect(notes).toContainEqual(expect.stringMatching(/imatrix\.gguf is an importance matrix/));
    expect(notes).toContainEqual(expect.stringMatching(/mmproj\.gguf is a projector/));
  });

  it("is warmed as a whole, without a word, when it is named and nothing is placed", async () => {
    const { code, stderr } = await prefault([at("companions/imatrix.gguf")]);
    expect(code).toBe(0);
    expect(stderr).not.toContain("Note");
  });
});
