import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { openModel } from "../../../src/model/open-model.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";
import { writeSyntheticSafetensors } from "../../models/synthetic-safetensors.ts";

const folder = temporaryFolder();
let files = 0;

/** A file with this header text, that claims to be as long as it says. */
function write(
  header: string,
  dataBytes = 64,
  claimed = BigInt(Buffer.byteLength(header)),
): string {
  const path = join(folder, `written-${files++}.safetensors`);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimed);
  writeFileSync(path, Buffer.concat([length, Buffer.from(header), Buffer.alloc(dataBytes)]));
  return path;
}

const header = (entry: unknown) => JSON.stringify({ t: entry });
const entry = { dtype: "F32", shape: [4], data_offsets: [0, 16] };

function writeIndex(weightMap: unknown): string {
  const path = join(folder, `index-${files++}.safetensors.index.json`);
  writeFileSync(path, JSON.stringify({ weight_map: weightMap }));
  return path;
}

const sharded = () =>
  writeSyntheticSafetensors({ path: join(folder, `sharded-${files++}.safetensors`), shards: 3 });

describe("a safetensors model", () => {
  test("has the tensors that were written, where they were", async () => {
    const path = join(folder, "single.safetensors");
    const { tensors } = await writeSyntheticSafetensors({ path });
    const model = await openModel(path);
    expect(model.format).toBe("safetensors");
    expect(model.tensors).toEqual(tensors);
    expect(model.files).toMatchObject([{ path, byteLength: readFileSync(path).length }]);
    expect(model.metadata).toEqual({ format: "pt" });
  });

  test("in shards is opened whole by its index", async () => {
    const { paths, tensors, indexPath } = await sharded();
    const model = await openModel(indexPath ?? "");
    expect(model.files.map(({ path }) => path)).toEqual(paths);
    expect(model.tensors).toEqual(tensors);
  });

  test("may have no tensors, and tensors without elements", async () => {
    expect((await openModel(write("{}"))).tensors).toEqual([]);
    const empty = header({ dtype: "F32", shape: [0], data_offsets: [0, 0] });
    expect((await openModel(write(empty, 0))).tensors).toMatchObject([{ byteLength: 0 }]);
  });

  test("may end its header with spaces", async () => {
    const { tensors } = await openModel(write(`${header(entry)}     `, 16));
    expect(tensors).toMatchObject([{ name: "t", byteLength: 16 }]);
  });

  test("has a tensor called __proto__ like any other", async () => {
    const text = `{"__proto__":${JSON.stringify(entry)}}`;
    expect((await openModel(write(text))).tensors).toMatchObject([{ name: "__proto__" }]);
  });
});

test.each([
  ["adapter_model.safetensors", "t"],
  ["lora.safetensors", "base_model.model.layers.0.self_attn.q_proj.lora_A.weight"],
])("an adapter is told by the name %s and its tensors", async (name, tensor) => {
  const path = join(folder, name);
  renameSync(write(JSON.stringify({ [tensor]: entry })), path);
  expect((await openModel(path)).kind).toBe("adapter");
});

describe("a safetensors file that is not what it should be", () => {
  const invalid = (path: string) => ({ code: "PREFAULT_INVALID_MODEL", path });

  test.each([0, 1, 7])("is refused with %d bytes", async (bytes) => {
    const path = write(header(entry));
    truncateSync(path, bytes);
    await expect(openModel(path)).rejects.toMatchObject(invalid(path));
  });

  test.each([
    ["one byte more than there is", BigInt(header(entry).length) + 65n],
    ["2^53", 2n ** 53n],
    ["2^64 - 1", 2n ** 64n - 1n],
    ["nothing", 0n],
    ["too little", 10n],
  ])("is refused when its header claims %s", async (_, claimed) => {
    const path = write(header(entry), 64, claimed);
    await expect(openModel(path)).rejects.toMatchObject(invalid(path));
  });

  test.each([
    ["no JSON", "not json"],
    ["an array", "[]"],
    ["null", "null"],
    ["a tensor that is a number", header(1)],
    ["a tensor that is null", header(null)],
    ["no dtype", header({ ...entry, dtype: undefined })],
    ["a shape that is no list", header({ ...entry, shape: 4 })],
    ["a negative dimension", header({ ...entry, shape: [-1] })],
    ["one offset", header({ ...entry, data_offsets: [0] })],
    ["three offsets", header({ ...entry, data_offsets: [0, 1, 2] })],
    ["offsets in the wrong order", header({ ...entry, data_offsets: [16, 0] })],
    ["a negative offset", header({ ...entry, data_offsets: [-16, 0] })],
    ["a fraction for an offset", header({ ...entry, data_offsets: [0.5, 16] })],
    ["an offset past the end", header({ ...entry, data_offsets: [0, 65] })],
    ["an offset of 2^53", header({ ...entry, data_offsets: [0, 2 ** 53] })],
    [
      "an offset near 2^64",
      `{"t":{"dtype":"F32","shape":[4],"data_offsets":[0,18446744073709551608]}}`,
    ],
    ["an offset of 1e999", `{"t":{"dtype":"F32","shape":[4],"data_offsets":[0,1e999]}}`],
  ])("is refused with %s for a header", async (_, text) => {
    const path = write(text, 64);
    await expect(openModel(path)).rejects.toMatchObject(invalid(path));
  });

  test("says that it may be truncated when its tensors end after it does", async () => {
    await expect(openModel(write(header(entry), 15))).rejects.toThrow("truncated");
  });
});

describe("an index of shards", () => {
  test.each([
    "../outside.safetensors",
    "..",
    "below/../../outside.safetensors",
    "/etc/passwd",
    "C:/outside.safetensors",
    "nul\0byte",
    "..\\outside.safetensors",
    "",
    7,
    null,
  ])("that leads to %j is refused", async (name) => {
    const path = writeIndex({ t: name });
    await expect(openModel(path)).rejects.toMatchObject({
      code: "PREFAULT_INVALID_MODEL",
      path,
      message: expect.stringContaining("is not a file name inside its folder"),
    });
  });

  test("may name files in folders below it, and as ./x", async () => {
    const below = join(folder, "below");
    mkdirSync(below);
    const [one, two] = [write(header(entry)), write(JSON.stringify({ u: entry }))];
    renameSync(one, join(below, "one.safetensors"));
    const path = writeIndex({ t: "below/one.safetensors", u: `./${basename(two)}` });
    const model = await openModel(path);
    expect(model.tensors.map(({ name }) => name).sort()).toEqual(["t", "u"]);
    expect(model.notes).toEqual([]);
  });

  test.each(["model.safetensors.index.fp16.json", "model.fp16.safetensors.index.json"])(
    "of a variant may be called %s",
    async (name) => {
      const path = join(folder, name);
      writeFileSync(path, JSON.stringify({ weight_map: { t: basename(write(header(entry))) } }));
      expect((await openModel(path)).tensors).toMatchObject([{ name: "t" }]);
    },
  );

  test("says which tensor none of its files has", async () => {
    const path = writeIndex({ t: basename(write(header(entry))), absent: basename(write("{}")) });
    expect((await openModel(path)).notes).toEqual([expect.stringContaining("the tensor absent")]);
  });

  test.skipIf(process.platform === "win32")(
    "that is no regular file is refused before a byte of it is read",
    async () => {
      const path = join(folder, "pipe.safetensors.index.json");
      execFileSync("mkfifo", [path]);
      await expect(openModel(path)).rejects.toMatchObject({ code: "PREFAULT_NOT_A_FILE" });
    },
  );

  test.each([
    ["no weight_map", undefined],
    ["a list for a weight_map", []],
  ])("with %s is refused", async (_, weightMap) => {
    await expect(openModel(writeIndex(weightMap))).rejects.toMatchObject({
      code: "PREFAULT_INVALID_MODEL",
    });
  });

  test("says which shard is missing", async () => {
    const { paths, indexPath } = await sharded();
    rmSync(paths[1] ?? "");
    await expect(openModel(indexPath ?? "")).rejects.toMatchObject({
      code: "PREFAULT_MISSING_SHARD",
      path: paths[1],
    });
  });

  test("that is not there is not found", async () => {
    await expect(openModel(join(folder, "no.safetensors.index.json"))).rejects.toMatchObject({
      code: "PREFAULT_NOT_FOUND",
    });
  });

  test("names a shard once, however many tensors lie in it", async () => {
    const { paths, indexPath } = await sharded();
    const { weight_map: map } = JSON.parse(readFileSync(indexPath ?? "", "utf8")) as {
      weight_map: Record<string, string>;
    };
    expect(Object.keys(map).length).toBeGreaterThan(paths.length);
    expect((await openModel(indexPath ?? "")).files).toHaveLength(paths.length);
  });
});
