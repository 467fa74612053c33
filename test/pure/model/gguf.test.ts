import { copyFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gguf } from "@huggingface/gguf";
import { describe, expect, test } from "vitest";
import { shardPaths } from "../../../src/model/gguf.ts";
import { openModel } from "../../../src/model/open-model.ts";
import {
  arrayEntry,
  type GgufHeader,
  ggufBytes,
  stringEntry,
  tensorInfo,
} from "../../helpers/gguf-bytes.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";
import { type ModelKind, writeSyntheticModel } from "../../models/synthetic-model.ts";

const KINDS = [
  "dense",
  "dense-tied",
  "moe",
  "moe-shared",
  "gdn",
  "gdn-moe",
  "per-layer-embeddings",
] as const satisfies readonly ModelKind[];

const folder = temporaryFolder();
let files = 0;

function write(bytes: Uint8Array, extension = ".gguf"): string {
  const path = join(folder, `written-${files++}${extension}`);
  writeFileSync(path, bytes);
  return path;
}

const open = (header: GgufHeader) => openModel(write(ggufBytes(header)));

const synthetic = (kind: ModelKind, options: object = {}) =>
  writeSyntheticModel({ kind, path: join(folder, `model-${files++}.gguf`), ...options });

describe("a GGUF model", () => {
  test.each(KINDS)(
    "of kind %s has the tensors that were written, where they were",
    async (kind) => {
      const { paths, tensors } = await synthetic(kind);
      const model = await openModel(paths[0] ?? "");
      expect(model.format).toBe("gguf");
      expect(model.tensors).toEqual(tensors);
      expect(model.files).toMatchObject([
        { path: paths[0], byteLength: readFileSync(paths[0] ?? "").length },
      ]);
      expect(model.metadata["general.name"]).toBe(`synthetic ${kind}`);
    },
  );

  test.each(KINDS)("of kind %s says what an independent parser reads in it", async (kind) => {
    const { paths } = await synthetic(kind);
    const [path = ""] = paths;
    const model = await openModel(path);
    const read = await gguf(path, { allowLocalFile: true });
    expect(read.metadata).toMatchObject(model.metadata);
    expect(model.tensors.map(({ name, shape }) => ({ name, shape }))).toEqual(
      read.tensorInfos.map(({ name, shape }) => ({ name, shape: shape.map(Number) })),
    );
    const starts = read.tensorInfos.map(({ offset }) => Number(read.tensorDataOffset + offset));
    expect(model.tensors.map(({ offset }) => offset)).toEqual(starts);
  });

  test.each(["Q4_0", "Q4_K", "Q6_K", "Q8_0", "F16", "BF16", "F32"] as const)(
    "of %s weights has tensors of the right length",
    async (dtype) => {
      const { paths, tensors } = await synthetic("moe", { weightDtype: dtype, expertDtype: dtype });
      expect((await openModel(paths[0] ?? "")).tensors).toEqual(tensors);
    },
  );

  test("is known by its first bytes where its name does not tell", async () => {
    expect((await openModel(write(ggufBytes({}), ".bin"))).format).toBe("gguf");
  });

  test("may have no tensors, and tensors without elements", async () => {
    expect((await open({ tensors: [] })).tensors).toEqual([]);
    const { tensors } = await open({ tensors: [tensorInfo({ shape: [0n] })] });
    expect(tensors).toMatchObject([{ byteLength: 0 }]);
  });

  test("pads a row that is not whole blocks", async () => {
    const q8 = tensorInfo({ type: 8, shape: [33n, 2n] });
    const { tensors } = await open({ tensors: [q8], dataBytes: 4 * 34 });
    expect(tensors).toMatchObject([{ byteLength: 4 * 34, dtype: "Q8_0", shape: [33, 2] }]);
  });
});

describe("a split GGUF model", () => {
  test.each([0, 1, 2])("is opened whole by shard %d", async (shard) => {
    const { paths, tensors } = await synthetic("moe", { shards: 3 });
    const model = await openModel(paths[shard] ?? "");
    expect(model.files.map(({ path }) => path)).toEqual(paths);
    expect(model.tensors).toEqual(tensors);
    expect(model.metadata["general.architecture"]).toBe("qwen3moe");
  });

  test("may have a first shard with metadata only", async () => {
    const { paths, tensors } = await synthetic("dense", { shards: 2, metadataShard: true });
    const model = await openModel(paths[1] ?? "");
    expect(model.tensors).toEqual(tensors);
    expect(model.metadata["general.architecture"]).toBe("qwen3");
  });

  test("says which shard is missing", async () => {
    const { paths } = await synthetic("moe", { shards: 3 });
    rmSync(paths[1] ?? "");
    await expect(openModel(paths[0] ?? "")).rejects.toMatchObject({
      code: "PREFAULT_MISSING_SHARD",
      path: paths[1],
      message: expect.stringContaining(paths[1] ?? ""),
    });
  });

  test("says not found when the shard that was named is the missing one", async () => {
    const { paths } = await synthetic("moe", { shards: 2 });
    rmSync(paths[0] ?? "");
    await expect(openModel(paths[0] ?? "")).rejects.toMatchObject({ code: "PREFAULT_NOT_FOUND" });
  });

  test("says which shard is truncated", async () => {
    const { paths } = await synthetic("moe", { shards: 2 });
    truncateSync(paths[1] ?? "", readFileSync(paths[1] ?? "").length - 1);
    await expect(openModel(paths[0] ?? "")).rejects.toMatchObject({
      code: "PREFAULT_INVALID_MODEL",
      path: paths[1],
    });
  });

  test("has shards beside the one that was named", () => {
    expect(shardPaths("/models/a.b-00002-of-00003.gguf")).toEqual([
      "/models/a.b-00001-of-00003.gguf",
      "/models/a.b-00002-of-00003.gguf",
      "/models/a.b-00003-of-00003.gguf",
    ]);
    expect(shardPaths("model.gguf")).toEqual(["model.gguf"]);
    expect(shardPaths("model-1-of-2.gguf")).toEqual(["model-1-of-2.gguf"]);
  });

  test.each([
    "m-00001-of-00000.gguf",
    "m-00000-of-00002.gguf",
    "m-00003-of-00002.gguf",
    "m-00001-of-99999.gguf",
  ])("cannot be named %s", (name) => {
    expect(() => shardPaths(name)).toThrow("which cannot be");
  });
});

describe("a GGUF file that is not what it should be", () => {
  const invalid = (path: string) => ({ code: "PREFAULT_INVALID_MODEL", path });

  test("is refused when it is empty", async () => {
    const path = write(Buffer.alloc(0));
    await expect(openModel(path)).rejects.toMatchObject({
      ...invalid(path),
      message: `${path} is empty`,
    });
  });

  test("is refused wherever it is cut off", async () => {
    const { paths } = await synthetic("dense");
    const whole = readFileSync(paths[0] ?? "");
    const { tensors } = await openModel(paths[0] ?? "");
    const dataOffset = tensors[0]?.offset ?? 0;
    const cuts = [1, 3, 4, 7, 8, 23, 24, 100, dataOffset - 100, dataOffset, whole.length - 1];
    for (const cut of cuts) {
      const path = write(whole.subarray(0, cut));
      await expect(openModel(path), `cut at ${cut}`).rejects.toMatchObject(invalid(path));
    }
  });

  test.each<[string, GgufHeader]>([
    ["another magic", { magic: "GGML" }],
    ["an unknown version", { version: 99 }],
    ["more tensors than there are", { tensorCount: 100n }],
    ["2^63 tensors", { tensorCount: 2n ** 63n }],
    ["more entries than there are", { entryCount: 1000n }],
    ["2^63 entries", { entryCount: 2n ** 63n }],
    ["a string longer than the file", { entries: [stringEntry("a", "b", 5_000_000n)] }],
    ["a string of 2^60 bytes", { entries: [stringEntry("a", "b", 2n ** 60n)] }],
    ["an array longer than the file", { entries: [arrayEntry("a", 900_000n)] }],
    ["an array of 2^60 elements", { entries: [arrayEntry("a", 2n ** 60n)] }],
    ["an offset just past the data", { tensors: [tensorInfo({ offset: 1n })] }],
    ["an offset near 2^64", { tensors: [tensorInfo({ offset: 2n ** 64n - 32n })] }],
    ["an offset of 2^63", { tensors: [tensorInfo({ offset: 2n ** 63n })] }],
    [
      "an offset past the end for no bytes",
      { tensors: [tensorInfo({ shape: [0n], offset: 96n })] },
    ],
    ["a dimension of 2^64 - 1", { tensors: [tensorInfo({ shape: [2n ** 64n - 1n] })] }],
    [
      "dimensions whose product wraps to 0",
      { tensors: [tensorInfo({ shape: [2n ** 32n, 2n ** 32n] })] },
    ],
    ["a thousand dimensions", { tensors: [tensorInfo({ dimensions: 1000 })] }],
    ["an element type that is not known", { tensors: [tensorInfo({ type: 200 })] }],
    ["an element type that was removed", { tensors: [tensorInfo({ type: 4 })] }],
  ])("is refused with %s", async (_, header) => {
    const path = write(ggufBytes(header));
    await expect(openModel(path)).rejects.toMatchObject(invalid(path));
  });

  test("says that it may be truncated when its tensors end after it does", async () => {
    const path = write(ggufBytes({ dataBytes: 31 }));
    await expect(openModel(path)).rejects.toThrow(/tensor t ends at byte \d+ of a file of \d+/);
  });

  test("keeps what the reader said as the cause", async () => {
    await expect(open({ version: 99 })).rejects.toMatchObject({ cause: expect.any(Error) });
  });
});

test("copies of a model's shards under another name are that model", async () => {
  const { paths, tensors } = await synthetic("dense", { shards: 2 });
  const copies = paths.map((path) => {
    const copy = join(folder, `copy-${basename(path).replace(/^.*(-\d{5}-of)/, "$1")}`);
    copyFileSync(path, copy);
    return copy;
  });
  expect((await openModel(copies[0] ?? "")).tensors).toEqual(tensors);
});
