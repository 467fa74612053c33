import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { evict, mapModel, openModel, planPass, prefault, residency, startPrefault } from "prefault";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { looksAtPageCache, mostOf } from "../helpers/tolerance.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";
import { prefault as command } from "../package/cli-process.ts";

const MIB = 1024 ** 2;
const folder = temporaryFolder();

const hashOf = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

/** The file's bytes and its times; reading may change the last of them where it was mounted so. */
function stateOf(path: string) {
  const { mtimeNs, ctimeNs, size, ino } = statSync(path, { bigint: true });
  return { hash: hashOf(path), mtimeNs, ctimeNs, size, ino };
}

describe("a store through a mapped view", () => {
  test("never reaches the file, nor anyone else's mapping of it", async ({ skip }) => {
    if (process.platform === "win32") skip("nothing is mapped there");
    const path = join(folder, "stores.gguf");
    await writeSyntheticModel({ kind: "dense", path, targetBytes: 16 * MIB });
    const before = stateOf(path);
    const other = await mapModel(path);
    const model = await mapModel(path);
    const name = model.tensorNames.find((each) => each.includes("ffn")) ?? "";
    const untouched = other.tensor(name).views.map((view) => Buffer.from(view.slice()));
    for (const view of model.tensor(name).views) {
      for (let at = 0; at < view.length; at++) view[at] = ~(view[at] ?? 0);
    }
    // By way of the memory itself as well, where nothing bounds the store to a tensor.
    const { memory, address } = model.arena(name);
    new Uint32Array(memory.buffer, address - (address % 4), 1024).fill(0xdead_beef);
    await model.prefault({ log() {} });
    expect(other.tensor(name).views.map((view) => Buffer.from(view.slice()))).toEqual(untouched);
    await model.close();
    await other.close();
    expect(stateOf(path)).toEqual(before);
  });
});

describe.skipIf(process.platform !== "linux" || process.getuid?.() !== 0)(
  "of models on a file system that cannot be written to",
  () => {
    const image = join(folder, "image.ext4");
    const mount = join(folder, "read-only");
    const path = join(mount, "model.gguf");
    let mounted = false;

    beforeAll(async () => {
      mkdirSync(mount);
      const contents = join(folder, "contents");
      mkdirSync(contents);
      await writeSyntheticModel({
        kind: "moe",
        path: join(contents, "model.gguf"),
        targetBytes: 24 * MIB,
      });
      writeFileSync(image, Buffer.alloc(0));
      execFileSync("truncate", ["-s", "64M", image]);
      const made = spawnSync("mkfs.ext4", ["-q", "-d", contents, image]);
      // A kernel without loop devices shows the folder itself, read-only.
      mounted =
        (made.status === 0 && spawnSync("mount", ["-o", "loop,ro", image, mount]).status === 0) ||
        (spawnSync("mount", ["--bind", contents, mount]).status === 0 &&
          spawnSync("mount", ["-o", "remount,ro,bind", mount]).status === 0);
    });

    afterAll(() => {
      if (mounted) spawnSync("umount", ["-l", mount]);
    });

    test("everything works", looksAtPageCache, async ({ skip }) => {
      if (!mounted) skip("nothing can be mounted here");
      expect(() => writeFileSync(path, "")).toThrow("EROFS");
      const before = stateOf(path);
      for (const strategy of ["auto", "populate", "touch", "read"] as const) {
        await evict(path);
        const report = await prefault(path, { log() {}, strategy });
        expect(report.error).toBeUndefined();
        expect(report.residentBytesAfter).toBeGreaterThan(mostOf(report.bytes));
      }
      const plan = planPass(await openModel(path), { gpuLayers: 1, cpuMoe: true }, "llama.cpp");
      const session = startPrefault(plan, { log() {} });
      expect(await session.ready(0)).toBe(true);
      expect((await session.report).error).toBeUndefined();
      expect((await residency(path)).residentBytes).toBeGreaterThan(0);
      const model = await mapModel(path);
      expect((await model.prefault({ log() {} })).error).toBeUndefined();
      await model.close();
      expect(stateOf(path)).toEqual(before);
    });

    test.for(["warm", "plan", "status", "evict"])(
      "the command %s works",
      async (name, { skip }) => {
        if (!mounted) skip("nothing can be mounted here");
        expect(await command([name, path, "--json"])).toMatchObject({ code: 0 });
      },
    );
  },
);
