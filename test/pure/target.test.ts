import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Model } from "../../src/model/model.ts";
import { fileRegions, resolveTarget, type Target, tensorRegion } from "../../src/target/target.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

const folder = temporaryFolder();
const a = join(folder, "a.bin");
const b = join(folder, "b.bin");
writeFileSync(a, "0123456789");
writeFileSync(b, "01234");

const whole = (path: string, byteLength: number) => ({
  path,
  offset: 0,
  byteLength,
  reason: "the whole file",
});

const model: Model = {
  format: "gguf",
  files: [
    { path: a, byteLength: 10 },
    { path: b, byteLength: 5 },
  ],
  tensors: [{ name: "t", file: 1, offset: 2, byteLength: 3, dtype: "F32", shape: [1] }],
  metadata: {},
};

const regionsOf = async (target: Target) =>
  (await resolveTarget(target)).runs.map((run) => fileRegions([run]));

describe("a target", () => {
  test("that is a path means every byte of it", async () => {
    expect(await regionsOf(a)).toMatchObject([[whole(a, 10)]]);
    expect(await regionsOf([a, b])).toMatchObject([[whole(a, 10), whole(b, 5)]]);
  });

  test("that is a model means every byte of its files, headers included", async () => {
    expect(await regionsOf(model)).toEqual([[whole(a, 10), whole(b, 5)]]);
  });

  test("that is regions means those, and no file is looked at for it", async () => {
    const regions = [{ path: "/absent", offset: 7, byteLength: 9 }];
    expect(await resolveTarget(regions)).toEqual({
      models: [],
      runs: [{ kind: "files", regions }],
      failures: [],
      notes: [],
    });
  });

  test("may be empty", async () => {
    expect(await regionsOf([])).toEqual([[]]);
  });

  test.each([undefined, null, 7, {}, [7], [null], [{ offset: 0 }], [a, { path: a }]])(
    "cannot be %j",
    async (target) => {
      await expect(resolveTarget(target as unknown as Target)).rejects.toMatchObject({
        code: "PREFAULT_INVALID_OPTION",
      });
    },
  );
});

test("a tensor's region names the file it lies in", () => {
  expect(model.tensors.map((tensor) => tensorRegion(model, tensor))).toEqual([
    { path: b, offset: 2, byteLength: 3, tensor: "t" },
  ]);
});
