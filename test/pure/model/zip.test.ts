import { writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openModel } from "../../../src/model/open-model.ts";
import { type Archive, readArchive } from "../../../src/model/zip.ts";
import { ggufBytes, tensorInfo } from "../../helpers/gguf-bytes.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";
import { archive } from "../../helpers/zip-bytes.ts";
import { mutate } from "../../robustness/fuzz/mutate.ts";
import { Random } from "../../robustness/random.ts";

const folder = temporaryFolder();
let files = 0;

function written(bytes: Buffer, suffix = ".llamafile"): string {
  const path = join(folder, `${files++}${suffix}`);
  writeFileSync(path, bytes);
  return path;
}

async function read(path: string): Promise<Archive | null> {
  const handle = await open(path);
  try {
    return await readArchive(handle, (await handle.stat()).size, /\.gguf$/i);
  } finally {
    await handle.close();
  }
}

const executable = Buffer.concat([Buffer.from("MZqFpD='"), Buffer.alloc(5000, 0x5a)]);
const gguf = ggufBytes({ dataBytes: 4096, tensors: [tensorInfo({ shape: [1024n] })] });
const args = { name: ".args", data: Buffer.from("-m m.gguf") };

describe("a llamafile", () => {
  test.each([
    ["plainly", {}],
    ["with ZIP64", { zip64: true }],
    ["with offsets from the start of the archive", { relative: true }],
    ["with ZIP64 and offsets from the start of the archive", { relative: true, zip64: true }],
    ["with a comment", { comment: "made by zipalign" }],
  ])("%s has the tensors of the GGUF that is stored in it", async (_, options) => {
    const path = written(
      archive([args, { name: "m.gguf", data: gguf, padding: 77 }], {
        prefix: executable,
        ...options,
      }),
    );
    const model = await openModel(path);
    expect(model).toMatchObject({ format: "gguf", files: [{ path }], notes: [] });
    const [tensor] = model.tensors;
    const alone = await openModel(written(gguf, ".gguf"));
    const inside = (await read(path))?.stored[0]?.start ?? 0;
    expect(tensor).toMatchObject({
      name: "t",
      byteLength: 4096,
      offset: inside + (alone.tensors[0]?.offset ?? 0),
    });
  });

  test("has the largest of several, and a note on the others", async () => {
    const small = { name: "mmproj.gguf", data: ggufBytes({}) };
    const path = written(archive([small, { name: "m.gguf", data: gguf }], { prefix: executable }));
    const { tensors, notes } = await openModel(path);
    expect(tensors).toMatchObject([{ byteLength: 4096 }]);
    expect(notes).toEqual([expect.stringContaining("also holds mmproj.gguf")]);
  });

  test("without a model in it is a file like any other", async () => {
    const path = written(archive([args], { prefix: executable }));
    expect((await openModel(path)).format).toBe("file");
    expect((await openModel(written(executable))).format).toBe("file");
  });

  test("with a compressed model says that it cannot be mapped", async () => {
    const path = written(archive([{ name: "m.gguf", data: gguf, method: 8 }]), ".zip");
    const { format, notes } = await openModel(path);
    expect(format).toBe("file");
    expect(notes).toEqual([expect.stringContaining("compressed")]);
  });

  test("whose GGUF is none is refused", async () => {
    const data = Buffer.alloc(4096, 1);
    const path = written(archive([{ name: "m.gguf", data }], { prefix: executable }));
    await expect(openModel(path)).rejects.toMatchObject({ code: "PREFAULT_INVALID_MODEL", path });
  });
});

describe("whatever an archive claims", () => {
  test("what is found lies within the file", async () => {
    const path = join(folder, "fuzzed.llamafile");
    await fc.assert(
      fc.asyncProperty(
        fc.nat(2 ** 31),
        fc.boolean(),
        fc.boolean(),
        async (seed, zip64, relative) => {
          const prefix = executable.subarray(0, seed % 100);
          const whole = archive([args, { name: "m.gguf", data: ggufBytes({}) }], {
            prefix,
            zip64,
            relative,
          });
          const bytes = mutate(whole, new Random(seed));
          writeFileSync(path, bytes);
          for (const { start, byteLength } of (await read(path))?.stored ?? []) {
            expect(start).toBeGreaterThanOrEqual(0);
            expect(start + byteLength).toBeLessThanOrEqual(bytes.length);
          }
          const model = await openModel(path).catch((error: unknown) => error);
          if (model instanceof Error)
            expect(model).toMatchObject({
              code: expect.stringMatching(/INVALID_MODEL|MISSING_SHARD/),
            });
          else {
            for (const { offset, byteLength } of (
              model as { tensors: { offset: number; byteLength: number }[] }
            ).tensors) {
              expect(offset + byteLength).toBeLessThanOrEqual(bytes.length);
            }
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});
