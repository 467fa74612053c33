import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { findMappedModels, findMappings } from "prefault";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { writeDataFile } from "../helpers/data-file.ts";
import { fakeRun } from "../helpers/fake-server.ts";
import { runProcess, startProcess } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";

describe.skipIf(process.platform !== "linux")("what another process has mapped", () => {
  const folder = temporaryFolder();
  const gguf = join(folder, "two\nlines of a model.gguf");
  const other = join(folder, "other.bin");

  beforeAll(async () => {
    const { paths } = await writeSyntheticModel({ kind: "dense", path: gguf });
    expect(paths).toEqual([gguf]);
    writeDataFile(other, 1024 ** 2);
  });

  /** A process that has mapped a file, started by a launcher. @returns the launcher and the process */
  async function mapping(path: string, launcher: readonly string[] = []) {
    const { program, env, cwd, ready, processes } = fakeRun(folder, { maps: true });
    const started = startProcess([...launcher, program, "-m", path], { env, cwd });
    onTestFinished(async () => {
      for (const pid of processes()) process.kill(pid, "SIGKILL");
      await started.ended;
    });
    return { launcher: started.pid, server: await ready() };
  }

  test("are its models, and no other files", async () => {
    const { server } = await mapping(gguf);
    expect(await findMappedModels(server)).toEqual([gguf]);
    const escaped = join(folder, "one\\012line.gguf");
    copyFileSync(gguf, escaped);
    expect(await findMappedModels((await mapping(escaped)).server)).toEqual([escaped]);
    const { server: reader } = await mapping(other);
    expect(await findMappedModels(reader)).toEqual([]);
  });

  test("counts of the processes that it started as well", async () => {
    const { launcher } = await mapping(gguf, ["sh", "-c", '"$0" "$@"; exit $?']);
    expect(await findMappedModels(launcher)).toEqual([gguf]);
  });

  test("is not a file that was deleted, nor the one that took its place", async () => {
    const path = join(folder, "deleted.gguf");
    copyFileSync(gguf, path);
    const { server } = await mapping(path);
    rmSync(path);
    expect(await findMappedModels(server)).toEqual([]);
    copyFileSync(gguf, path);
    expect(await findMappedModels(server)).toEqual([]);
  });

  test("is found where it has a name of its own for it", async ({ skip }) => {
    const { code } = await runProcess(["unshare", "--mount", "true"]).catch(() => ({ code: 1 }));
    if (code !== 0) skip("no name space of mounts can be made here");
    const inside = join(folder, "inside");
    mkdirSync(inside);
    copyFileSync(gguf, join(folder, "model.gguf"));
    const script = 'mount --bind "$0" "$1" && shift && exec "$@"';
    const launcher = ["unshare", "--mount", "sh", "-c", script, folder, inside];
    const { server } = await mapping(join(inside, "model.gguf"), launcher);
    const [path, ...more] = await findMappedModels(server);
    expect(path).toBe(`/proc/${server}/root${inside}/model.gguf`);
    expect(more).toEqual([]);
  });

  test("is told with its addresses", async () => {
    const { server } = await mapping(other);
    const [found, ...more] = await findMappings(other, { pid: server });
    expect(found).toMatchObject({ byteLength: 1024 ** 2, offset: 0 });
    expect(more).toEqual([]);
    expect(await findMappings(other)).toEqual([]);
    expect(await findMappings(gguf, { pid: server })).toEqual([]);
  });

  test.each([
    ["no process", 4_194_304, "PREFAULT_NOT_FOUND", /there is no process 4194304/],
    ["no number", -1, "PREFAULT_INVALID_OPTION", /number of a process, got -1/],
    ["a part of a number", 1.5, "PREFAULT_INVALID_OPTION", /got 1\.5/],
  ])("is refused for %s", async (_, pid, code, message) => {
    for (const ask of [() => findMappedModels(pid), () => findMappings(other, { pid })]) {
      await expect(ask()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    }
  });

  test("is not waited for when the signal has fired", async () => {
    const signal = AbortSignal.abort();
    for (const ask of [
      () => findMappedModels(process.pid, { signal }),
      () => findMappings(other, { pid: process.pid, signal }),
    ]) {
      await expect(ask()).rejects.toMatchObject({ code: "PREFAULT_ABORTED" });
    }
  });
});
