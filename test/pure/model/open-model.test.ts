import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openModel } from "../../../src/model/open-model.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";

const folder = temporaryFolder();

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

test("a file that is not there names the unfinished download of it", async () => {
  const path = join(folder, "absent.gguf");
  writeFileSync(`${path}.part`, "x");
  await expect(openModel(path)).rejects.toMatchObject({
    code: "PREFAULT_NOT_FOUND",
    errno: "ENOENT",
    message: expect.stringContaining("absent.gguf.part is an unfinished download of it"),
  });
});
