import { copyFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gguf } from "@huggingface/gguf";
import { describe, expect, test } from "vitest";
import { openModel } from "../../../src/model/open-model.ts";
import {
  arrayEntry,
  type GgufHeader,
  ggufBytes,
  splitEntries,
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
    ["a key longer than the format allows", { entries: [stringEntry("k".repeat(65_536), "v")] }],
    [
      "a tensor's name longer than the format allows",
      { tensors: [tensorInfo({ name: "t".repeat(70_000) })] },
    ],
    [
      "an unknown element type past the end of the file",
      { tensors: [tensorInfo({ type: 200, offset: 4096n })] },
    ],
    ["a split.no that is none of its split.count", { entries: splitEntries(3, 3, 1) }],
    ["a split.count that no model has", { entries: splitEntries(0, 4_000_000_000, 1) }],
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

describe("an element type", () => {
  const two = (type: number, shape: bigint[], secondAt: bigint, dataBytes: number) =>
    open({
      tensors: [
        tensorInfo({ name: "a", type, shape }),
        tensorInfo({ name: "b", type, shape, offset: secondAt }),
      ],
      dataBytes,
    });
  const lengths = async (model: ReturnType<typeof open>) =>
    (await model).tensors.map(({ byteLength, dtype }) => [byteLength, dtype]);

  // Bytes of a row of 256 elements, twice: what ik_llama.cpp, bitnet.cpp and others write.
  test.each([
    [133, "Q6_0", 8 * 26],
    [137, "IQ2_K", 76],
    [144, "IQ4_KS", 136 + 4],
    [145, "IQ2_KS", 70 + 2],
    [151, "Q8_KV", 8 * 32 + 8],
    [156, "IQ3_KS", 102 + 2],
    [158, "IQ1_KT", 56 + 4],
    [212, "Q4_K_R4", 144],
    [219, "IQ1_S_R4", 8 * 6 + 2],
    [399, "Q8_K_R8", 258],
    [42, "Q2_0", 4 * 18],
    [143, "PTQ1_0", 2 * 28],
  ])("%i is %s, with what stands in front of each row", async (type, name, rowBytes) => {
    const bytes = 2 * rowBytes;
    const padded = Math.ceil(bytes / 32) * 32;
    expect(await lengths(two(type, [256n, 2n], BigInt(padded), padded + bytes))).toEqual([
      [bytes, name],
      [bytes, name],
    ]);
  });

  test.each([0, 32])("I2_S has %d bytes behind its rows", async (tail) => {
    const bytes = 128 + tail;
    const model = two(36, [256n, 2n], BigInt(bytes), 2 * bytes);
    expect(await lengths(model)).toEqual([
      [bytes, "I2_S"],
      [bytes, "I2_S"],
    ]);
  });

  test("that is not known is as long as the distance to the next tensor, and a note says so", async () => {
    const model = await two(200, [8n], 96n, 96 + 40);
    expect(model.tensors.map(({ byteLength, dtype }) => [byteLength, dtype])).toEqual([
      [96, "type 200"],
      [40, "type 200"],
    ]);
    expect(model.notes).toEqual([expect.stringMatching(/type 200 of a and 1 more is not known/)]);
  });

  test("is what the offsets say where a fork gives its number to another", async () => {
    const model = await two(36, [256n, 2n], 608n, 1216);
    expect(model.tensors.map(({ byteLength }) => byteLength)).toEqual([608, 608]);
    expect(model.notes).toEqual([expect.stringMatching(/type 36 .* is another than I2_S/)]);
    const smaller = await two(42, [256n, 2n], 64n, 128);
    expect(smaller.tensors.map(({ byteLength }) => byteLength)).toEqual([64, 64]);
  });

  test("that every fork agrees on is as long as it says, whatever the offsets are", async () => {
    const model = await two(0, [8n], 4096n, 4096 + 32);
    expect(model.tensors.map(({ byteLength }) => byteLength)).toEqual([32, 32]);
    expect(model.notes).toEqual([]);
  });
});

test("a header that is being read when the signal fires is given up", async () => {
  const { paths } = await synthetic("dense");
  const reason = new Error("no longer wanted");
  await expect(
    openModel(paths[0] ?? "", { signal: AbortSignal.abort(reason) }),
  ).rejects.toMatchObject({ code: "PREFAULT_ABORTED", cause: reason });
});
