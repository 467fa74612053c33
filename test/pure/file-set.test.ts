import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { FileSet } from "../../src/file/file-set.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

describe("a set of files", () => {
  const path = join(temporaryFolder(), "weights.bin");
  writeFileSync(path, "weights");

  test("opens a file once", async () => {
    const files = new FileSet();
    expect(await files.open(path)).toBe(await files.open(path));
    await files.close();
  });

  test("opens nothing any more when it was closed: nobody would close that", async () => {
    const files = new FileSet();
    const opening = files.open(path);
    await files.close();
    await expect((await opening).handle.stat()).rejects.toMatchObject({ code: "EBADF" });
    await expect(files.open(path)).rejects.toMatchObject({ code: "PREFAULT_CLOSED", path });
  });
});
