import { execFileSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { NOBODY, whyNotAsNobody } from "../helpers/another-user.ts";
import { runProcess } from "../helpers/run-child.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { CLI, prefault, start } from "./cli-process.ts";

const COMMANDS = ["warm", "plan", "status", "evict"] as const;

let folder: string;
let model: string;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefault-cli-"));
  // Someone else has to get to the file that they may not read.
  await chmod(folder, 0o755);
  model = at("model.gguf");
  await writeSyntheticModel({ kind: "dense", path: model });
  await mkdir(at("no-models"));
  await writeFile(at("empty.gguf"), "");
  await writeFile(at("lfs.gguf"), "version https://git-lfs.github.com/spec/v1\nsize 7\n");
  await writeFile(at("truncated.gguf"), (await readFile(model)).subarray(0, -4096));
  await writeFile(at("header.gguf"), (await readFile(model)).subarray(0, 100));
  await writeFile(at("two\nlines.gguf"), "GGUF");
});
afterAll(() => rm(folder, { recursive: true }));

/** One sentence on stderr, nothing on stdout; with `--json` the same and one document. */
async function expectFailure(args: readonly string[], code: number, errorCode: string, say = /./) {
  const plain = await prefault(args);
  expect(plain).toMatchObject({ code, stdout: "" });
  expect(plain.stderr).toMatch(/^prefault: [^\n]+\n$/);
  expect(plain.stderr).toMatch(say);
  expect(plain.stderr).not.toMatch(/\bat .*:\d+:\d+/);

  const json = await prefault([...args, "--json"]);
  expect(json).toMatchObject({ code, stderr: plain.stderr });
  const { error } = JSON.parse(json.stdout);
  expect(error).toMatchObject({ code: errorCode, message: expect.any(String) });
  expect(Object.keys(error)).toEqual(expect.arrayContaining(["errno", "path"]));
}

describe.each(COMMANDS)("%s fails with one sentence for", (command) => {
  it.each([
    ["a file that is not there", "missing.gguf", "PREFAULT_NOT_FOUND", /no such file/],
    ["a directory without models", "no-models", "PREFAULT_NOT_FOUND", /without models/],
    ["a pointer to a model", "lfs.gguf", "PREFAULT_INVALID_MODEL", /Git LFS pointer/],
  ])("%s", async (_, name, code, say) => {
    await expectFailure([command, at(name)], 1, code, say);
  });

  it.each([
    ["an empty file", "empty.gguf", "PREFAULT_INVALID_MODEL", /empty/],
    ["a truncated model", "truncated.gguf", "PREFAULT_INVALID_MODEL", /truncated/],
    ["a truncated header", "header.gguf", "PREFAULT_INVALID_MODEL", /GGUF/],
    ["a name of two lines", "two\nlines.gguf", "PREFAULT_INVALID_MODEL", /two lines/],
  ])("%s, unless its bytes are all that matters", async (_, name, code, say) => {
    const asBytes = command === "status" || command === "evict";
    if (!asBytes) return expectFailure([command, at(name)], 1, code, say);
    const result = await prefault([command, at(name)]);
    expect(result.code).toBe(0);
    expect(result.stderr).toMatch(/^Note: [^\n]*opened as a plain file\.\n$/);
    expect(result.stderr).toMatch(say);
  });

  it.skipIf(process.platform === "win32")("a FIFO", async () => {
    execFileSync("mkfifo", [at(`${command}.gguf`)]);
    await expectFailure([command, at(`${command}.gguf`)], 1, "PREFAULT_NOT_A_FILE", /FIFO/);
  });

  it("no file", () => expectFailure([command], 2, "PREFAULT_INVALID_OPTION", /no file given/));

  it("an unknown flag", async () => {
    await expectFailure([command, model, "--nope"], 2, "PREFAULT_INVALID_OPTION", /'--nope'/);
  });
});

describe("a flag with a value that cannot be is a usage error", () => {
  it.each([
    ["--gate", "sometimes"],
    ["--strategy", "hope"],
    ["--pass", "fail"],
    ["--workers", "many"],
    ["--workers", "99"],
    ["-ngl", "1.5"],
    ["-ngl", "auto"],
    ["-ngl", "-1"],
    ["-ot", "exps=GPU"],
    ["-ot", "exps=cpu"],
    ["--n-cpu-moe", "x"],
    ["--n-cpu-moe", "-1"],
    ["-ot", "no-buffer"],
    ["-ot", "(=CPU"],
  ])("%s %s", (flag, value) => expectFailure([model, flag, value], 2, "PREFAULT_INVALID_OPTION"));

  it("and so is one without its value, or for another command", async () => {
    await expectFailure(["evict", model, "-ngl", "2"], 2, "PREFAULT_INVALID_OPTION");
    expect((await prefault([model, "-ngl"])).code).toBe(2);
  });

  it("and so is one that the pass does not know", async () => {
    await expectFailure([model, "--pass", "forward", "-ngl", "2"], 2, "PREFAULT_INVALID_OPTION");
  });

  it("while a pattern that matches no tensor is a failure that names it", async () => {
    const code = "PREFAULT_UNKNOWN_TENSOR";
    await expectFailure(["plan", model, "-ot", "no_such=CPU"], 1, code, /no_such/);
  });
});

describe("a file without read permission", () => {
  const isRoot = process.getuid?.() === 0;
  // Root may read everything, so it becomes someone else, who has to be able to start the command.
  const who = isRoot ? { uid: NOBODY } : {};

  it.skipIf(process.platform === "win32")("fails with one sentence", async ({ skip }) => {
    const why = isRoot ? await whyNotAsNobody() : undefined;
    if (why !== undefined) skip(why);
    const path = at("private.gguf");
    await writeSyntheticModel({ kind: "dense", path });
    await chmod(path, isRoot ? 0o600 : 0);
    for (const command of COMMANDS) {
      const { code, stdout, stderr } = await prefault([command, path], who);
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toMatch(/^prefault: .*you may not read it\n$/);
    }
    const { stdout } = await prefault([path, "--json"], who);
    expect(JSON.parse(stdout).error).toEqual({
      code: "PREFAULT_PERMISSION",
      message: expect.any(String),
      errno: "EACCES",
      path,
      offset: null,
    });
  });

  it("is not the same as one whose residency the system keeps to itself", async ({ skip }) => {
    const why = await whyNotAsNobody();
    if (why !== undefined) skip(why);
    const { code, stdout } = await prefault(["status", model, "--json"], who);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ residentBytes: null });
    expect((await prefault(["status", model], who)).stdout).toContain("does not say");
  });
});

// Looks into /proc for the moment at which the sweep has begun.
describe.skipIf(process.platform !== "linux")("an interrupt", () => {
  const ENDLESS_BYTES = 64 * 2 ** 30;

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s ends the sweep with %i, still with a document", async (signal, code) => {
    const path = at(`${signal}.bin`);
    await writeFile(path, "");
    await truncate(path, ENDLESS_BYTES);
    const { pid, ended, kill } = start([path, "--gate", "always", "--workers", "1", "--json"]);
    while (!(await readFile(`/proc/${pid}/maps`, "utf8")).includes(path)) await sleep(5);
    kill(signal);
    const result = await ended;
    expect(result).toMatchObject({ code, stderr: "prefault: interrupted\n" });
    expect(JSON.parse(result.stdout)).toMatchObject({
      ran: true,
      error: { code: "PREFAULT_ABORTED" },
    });
    await rm(path);
  });
});

it.skipIf(process.platform === "win32")("a reader that stops early is no failure", async () => {
  const pipe = '"$0" "$1" plan "$2" --json | head -n 1';
  const { stdout } = await runProcess(["sh", "-c", pipe, process.execPath, CLI, model]);
  expect(stdout).toBe("{\n");
});
