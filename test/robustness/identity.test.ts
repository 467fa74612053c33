import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { evict, openModel, planPass, prefault, residency } from "prefault";
import { describe, expect, test } from "vitest";
import { NOBODY, whyNotAsNobody } from "../helpers/another-user.ts";
import { writeDataFile } from "../helpers/data-file.ts";
import { parseOutput, runChild } from "../helpers/run-child.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";
import { writeSyntheticModel } from "../models/synthetic-model.ts";

const MIB = 1024 ** 2;
const isLinux = process.platform === "linux";
const folder = temporaryFolder();

const codeOf = async (path: string) => (await prefault(path, { log() {} })).error?.code;

describe("what is no file", () => {
  test("is refused: a circle of symbolic links", async () => {
    const [a, b] = [join(folder, "a-link"), join(folder, "b-link")];
    symlinkSync(a, b);
    symlinkSync(b, a);
    expect(await codeOf(a)).toBe("PREFAULT_NOT_FOUND");
  });

  test("is refused: a FIFO, under any name", async ({ skip }) => {
    for (const name of ["fifo", "fifo.gguf", "fifo.safetensors", "fifo.safetensors.index.json"]) {
      const path = join(folder, name);
      if (spawnSync("mkfifo", [path]).status !== 0) skip("there is no mkfifo");
      expect(await codeOf(path)).toBe("PREFAULT_NOT_A_FILE");
      await expect(evict(path)).rejects.toMatchObject({ code: "PREFAULT_NOT_A_FILE" });
      await expect(residency([{ path }])).rejects.toMatchObject({ code: "PREFAULT_NOT_A_FILE" });
    }
  });

  test("is refused: a socket", async () => {
    const path = join(folder, "socket");
    const server = createServer().listen(path);
    await new Promise((resolve) => server.once("listening", resolve));
    // It cannot even be opened; what it is comes first.
    expect(await codeOf(path)).toBe("PREFAULT_NOT_A_FILE");
    await new Promise((resolve) => server.close(resolve));
  });

  test
    .skipIf(!isLinux)
    .for([
      "/dev/zero",
      "/dev/null",
      "/dev/mem",
      "/proc/kcore",
      "/proc/self/maps",
      "/proc/self/mem",
      "/proc/kmsg",
      "/sys/kernel/mm/transparent_hugepage/enabled",
    ])("is refused: %s", async (path, { skip }) => {
    if (statSync(path, { throwIfNoEntry: false }) === undefined) skip("not on this system");
    expect(await codeOf(path)).toBe("PREFAULT_NOT_A_FILE");
    const link = join(folder, "leads-astray");
    symlinkSync(path, link);
    expect(await codeOf(link)).toBe("PREFAULT_NOT_A_FILE");
    unlinkSync(link);
  });
});

describe("a file that is another by the time it is swept", () => {
  const options = { log() {} };

  test("is noticed after its model was opened, and after it was planned", async () => {
    const path = join(folder, "replaced.gguf");
    await writeSyntheticModel({ kind: "dense", path });
    const model = await openModel(path);
    const plan = planPass(model, { gpuLayers: 0 }, "llama.cpp");
    expect((await prefault(plan, options)).error).toBeUndefined();
    const other = join(folder, "other.gguf");
    copyFileSync(path, other);
    renameSync(other, path);
    for (const target of [model, plan]) {
      const { error, ran } = await prefault(target, options);
      expect(ran).toBe(false);
      expect(error).toMatchObject({ code: "PREFAULT_FILE_CHANGED", path });
      expect(error?.message).toContain("was replaced by another file");
    }
    await expect(residency(model)).rejects.toMatchObject({ code: "PREFAULT_FILE_CHANGED" });
  });

  test("is noticed when it was deleted and made again, with the number the old one had", async () => {
    const path = writeDataFile(join(folder, "made-again"), MIB);
    const model = await openModel(path);
    unlinkSync(path);
    writeDataFile(path, MIB);
    expect((await prefault(model, options)).error?.code).toBe("PREFAULT_FILE_CHANGED");
  });

  test("is noticed when it is the same but shorter", async () => {
    const path = writeDataFile(join(folder, "shorter"), MIB);
    const model = await openModel(path);
    truncateSync(path, MIB / 2);
    const { error } = await prefault(model, options);
    expect(error?.code).toBe("PREFAULT_FILE_CHANGED");
    expect(error?.message).toContain("shrank");
  });

  test("is noticed when that happens during the sweep", async () => {
    const path = writeDataFile(join(folder, "during"), 64 * MIB);
    const other = writeDataFile(join(folder, "during-other"), MIB);
    let replaced = false;
    const pending = prefault([{ path }], {
      ...options,
      // Called while it runs, and once more before the files are looked at.
      onProgress() {
        if (!replaced) renameSync(other, path);
        replaced = true;
      },
    });
    expect((await pending).error).toMatchObject({ code: "PREFAULT_FILE_CHANGED", path });
  });

  test("may grow, as a file does that is still being downloaded", async () => {
    const path = writeDataFile(join(folder, "longer"), MIB);
    const model = await openModel(path);
    writeFileSync(path, Buffer.alloc(MIB), { flag: "a" });
    expect((await prefault(model, options)).error).toBeUndefined();
  });
});

test("to someone who neither owns a file nor may write it its residency is not known, and it is swept all the same", async ({
  skip,
}) => {
  const why = await whyNotAsNobody();
  if (why !== undefined) skip(why);
  const path = join("/var/tmp", `prefault-test-${process.pid}`);
  writeDataFile(path, MIB);
  const script = `
    import { prefault, residency } from "prefault";
    const path = process.argv[1];
    const runs = [];
    for (const strategy of ["populate", "touch", "read"]) {
      const report = await prefault([{ path }], { log() {}, strategy });
      const { residentBytesBefore, residentBytesAfter, error, ran } = report;
      runs.push({ residentBytesBefore, residentBytesAfter, ran, error: error?.message ?? null });
    }
    const { residentBytes, files } = await residency([{ path }]);
    console.log(JSON.stringify({ runs, residentBytes, map: files[0].map }));
  `;
  try {
    const child = await runChild(script, [path], { uid: NOBODY });
    const unknown = {
      residentBytesBefore: null,
      residentBytesAfter: null,
      ran: true,
      error: null,
    };
    expect(parseOutput(child)).toEqual({
      runs: [unknown, unknown, unknown],
      residentBytes: null,
      map: null,
    });
    // Its owner is told.
    expect((await residency([{ path }])).residentBytes).not.toBeNull();
  } finally {
    unlinkSync(path);
  }
});
