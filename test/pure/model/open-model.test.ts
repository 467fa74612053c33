import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { modelPaths, openModel } from "../../../src/model/open-model.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";

const folder = temporaryFolder();

function directory(name: string, ...files: string[]): string {
  const path = join(folder, name);
  mkdirSync(path);
  for (const file of files) writeFileSync(join(path, file), "x");
  return path;
}

describe("a file of no known format", () => {
  test("is one region, the whole of it", async () => {
    const path = join(folder, "weights.bin");
    writeFileSync(path, "0123456789");
    expect(await openModel(path)).toMatchObject({
      format: "file",
      files: [{ path, byteLength: 10 }],
      tensors: [
        { name: "weights.bin", file: 0, offset: 0, byteLength: 10, dtype: "bytes", shape: [10] },
      ],
      metadata: {},
    });
  });

  test("may be shorter than a magic number, but not empty", async () => {
    const path = join(folder, "short");
    writeFileSync(path, "GG");
    expect((await openModel(path)).format).toBe("file");
    writeFileSync(path, "");
    await expect(openModel(path)).rejects.toMatchObject({ code: "PREFAULT_INVALID_MODEL" });
  });

  test("is refused when it is a directory", async () => {
    await expect(openModel(folder)).rejects.toMatchObject({ code: "PREFAULT_NOT_A_FILE" });
  });
});

describe("the models of a path", () => {
  test("are the file itself", async () => {
    const file = join(directory("one", "any.bin"), "any.bin");
    expect(await modelPaths(file)).toEqual([file]);
  });

  test("are those in a directory, by name, and nothing else that is there", async () => {
    const path = directory("several", "b.gguf", "a.safetensors", "readme.md", "c.gguf.part");
    mkdirSync(join(path, "below"));
    writeFileSync(join(path, "below", "d.gguf"), "x");
    expect(await modelPaths(path)).toEqual([join(path, "a.safetensors"), join(path, "b.gguf")]);
  });

  test("name the shards of a model once", async () => {
    const path = directory(
      "split",
      "m-00001-of-00002.gguf",
      "m-00002-of-00002.gguf",
      "n-00001-of-00002.gguf",
      "n-00002-of-00002.gguf",
    );
    expect(await modelPaths(path)).toEqual([
      join(path, "m-00001-of-00002.gguf"),
      join(path, "n-00001-of-00002.gguf"),
    ]);
  });

  test("are reached by the index where there is one", async () => {
    const path = directory(
      "indexed",
      "model-00001-of-00002.safetensors",
      "model-00002-of-00002.safetensors",
      "model.safetensors.index.json",
    );
    expect(await modelPaths(path)).toEqual([join(path, "model.safetensors.index.json")]);
  });

  test("are not found in a directory without any", async () => {
    const path = directory("without", "readme.md");
    await expect(modelPaths(path)).rejects.toMatchObject({
      code: "PREFAULT_NOT_FOUND",
      message: expect.stringContaining("directory without models"),
    });
  });

  test("are not found where nothing is", async () => {
    await expect(modelPaths(join(folder, "absent"))).rejects.toMatchObject({
      code: "PREFAULT_NOT_FOUND",
      errno: "ENOENT",
    });
  });
});
