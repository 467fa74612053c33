import { chmodSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { openModels } from "../../../src/model/open-models.ts";
import { ggufBytes, splitEntries, tensorInfo } from "../../helpers/gguf-bytes.ts";
import { imatrix, mmproj, model, opened, trees, under } from "./trees.ts";

const tree = trees();

function safetensors(name: string): Buffer {
  const header = JSON.stringify({ [name]: { dtype: "F32", shape: [4], data_offsets: [0, 16] } });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(16)]);
}

describe("a folder", () => {
  test("has its models and those of the folders below it", async () => {
    const folder = tree({
      "b.gguf": model(),
      "a.GGUF": model(),
      "readme.md": "x",
      "publisher/model/Q4_K_M/c.gguf": model(),
      ".git/objects/d.gguf": model(),
    });
    const { files } = await opened(folder);
    expect(under(folder, files)).toEqual(["a.GGUF", "b.gguf", "publisher/model/Q4_K_M/c.gguf"]);
  });

  test("says what cannot be opened, and has the others all the same", async () => {
    const folder = tree({ "a.gguf": model(), "broken.gguf": "x", "c.gguf": model(), "e.gguf": "" });
    symlinkSync("nowhere", join(folder, "d.gguf"));
    const { files, failures } = await opened(folder);
    expect(under(folder, files)).toEqual(["a.gguf", "c.gguf"]);
    expect(failures.map(({ path, error }) => [basename(path), error.code])).toEqual([
      ["broken.gguf", "PREFAULT_INVALID_MODEL"],
      ["d.gguf", "PREFAULT_NOT_FOUND"],
      ["e.gguf", "PREFAULT_INVALID_MODEL"],
    ]);
    for (const { path, error } of failures) expect(error.message).toContain(path);
  });

  test("counts the shards of a model once, whole or broken", async () => {
    const shard = (no: number, count: number) =>
      ggufBytes({
        entries: splitEntries(no, count, count),
        tensors: [tensorInfo({ name: `t${no}` })],
      });
    const folder = tree({
      "m-00001-of-00002.gguf": shard(0, 2),
      "m-00002-of-00002.gguf": shard(1, 2),
      "n-00001-of-00003.gguf": shard(0, 3),
      "n-00003-of-00003.gguf": shard(2, 3),
    });
    const { models, failures } = await opened(folder);
    expect(models).toHaveLength(1);
    expect(failures.map(({ error }) => error.code)).toEqual(["PREFAULT_MISSING_SHARD"]);
  });

  test("has projectors and adapters as a whole and no imatrix, each with a note", async () => {
    const folder = tree({ "m.gguf": model(), "mmproj.gguf": mmproj, "imatrix.gguf": imatrix });
    const { models, files, notes } = await opened(folder);
    expect(under(folder, files)).toEqual(["m.gguf", "mmproj.gguf"]);
    expect(models.map(({ kind }) => kind)).toEqual(["model", "mmproj"]);
    expect(notes).toEqual([
      expect.stringMatching(/imatrix\.gguf is an importance matrix.*left out/),
    ]);
    expect(models[1]?.notes).toEqual([expect.stringMatching(/mmproj\.gguf is a projector/)]);
  });

  test("is left of nothing when it is only looked at or dropped", async () => {
    const folder = tree({
      "m.gguf": model().subarray(0, 40),
      "imatrix.gguf": imatrix,
      "e.gguf": "",
    });
    const { models, failures } = await openModels([folder], { asBytes: true });
    expect(failures).toEqual([]);
    expect(models.map(({ format, files }) => [format, files[0]?.byteLength])).toEqual([
      ["file", 0],
      ["gguf", imatrix.length],
      ["file", 40],
    ]);
    expect(models[2]?.notes).toEqual([expect.stringContaining("opened as a plain file")]);
  });

  test("without models is refused, and so is what is not there", async () => {
    const empty = tree({ "readme.md": "x", "m.gguf.part": "x" });
    await expect(openModels([empty])).rejects.toMatchObject({
      code: "PREFAULT_NOT_FOUND",
      message: expect.stringMatching(/directory without models.*m\.gguf\.part is an unfinished/),
    });
    await expect(openModels([join(tree({}), "absent")])).rejects.toMatchObject({
      code: "PREFAULT_NOT_FOUND",
      errno: "ENOENT",
    });
  });

  test("that is linked into itself ends", async () => {
    const folder = tree({ "below/m.gguf": model() });
    symlinkSync("..", join(folder, "below", "up"));
    expect(under(folder, (await opened(folder)).files)).toEqual(["below/m.gguf"]);
  });

  test("has a file once, whatever links lead to it and however it is named", async () => {
    const folder = tree({ "m.gguf": model(), "below/x": "x" });
    symlinkSync("../m.gguf", join(folder, "below", "link.gguf"));
    const { files } = await opened(folder, join(folder, "m.gguf"), join(folder, "below"));
    expect(under(folder, files)).toEqual(["m.gguf"]);
  });

  // Other systems do not make such a name.
  test.skipIf(process.platform !== "linux")(
    "has a file whose name is not UTF-8 among what cannot be opened",
    async () => {
      const folder = tree({ "m.gguf": model() });
      writeFileSync(
        Buffer.concat([Buffer.from(`${folder}/caf`), Buffer.from([0xe9]), Buffer.from(".gguf")]),
        model(),
      );
      const { files, failures } = await opened(folder);
      expect(under(folder, files)).toEqual(["m.gguf"]);
      expect(failures).toMatchObject([
        { path: `${folder}/caf\\xe9.gguf`, error: { code: "PREFAULT_UNSUPPORTED" } },
      ]);
    },
  );

  // Root may read everything, and Windows has no such permission.
  test.skipIf(process.platform === "win32" || process.getuid?.() === 0)(
    "that may not be read is named",
    async () => {
      const folder = tree({ "m.gguf": model(), "closed/n.gguf": model() });
      chmodSync(join(folder, "closed"), 0);
      const { failures } = await opened(folder);
      chmodSync(join(folder, "closed"), 0o700);
      expect(failures).toMatchObject([{ error: { code: "PREFAULT_PERMISSION" } }]);
    },
  );
});

describe("a folder of safetensors", () => {
  const index = (map: object) => JSON.stringify({ weight_map: map });

  test("is opened by its index, and has what the index does not name as models of their own", async () => {
    const folder = tree({
      "model-00001-of-00001.safetensors": safetensors("a"),
      "extra.safetensors": safetensors("b"),
      "model.safetensors.index.json": index({ a: "model-00001-of-00001.safetensors" }),
    });
    const { models } = await opened(folder);
    expect(models.map(({ files }) => basename(files[0]?.path ?? ""))).toEqual([
      "model-00001-of-00001.safetensors",
      "extra.safetensors",
    ]);
  });

  test("has no shards of an index that cannot be opened as models of their own", async () => {
    const folder = tree({
      "model-00001-of-00002.safetensors": safetensors("a"),
      "model.safetensors.index.json": index({
        a: "model-00001-of-00002.safetensors",
        b: "model-00002-of-00002.safetensors",
      }),
      "other.safetensors": safetensors("c"),
    });
    const { files, failures } = await opened(folder);
    expect(under(folder, files)).toEqual(["other.safetensors"]);
    expect(failures).toMatchObject([{ error: { code: "PREFAULT_MISSING_SHARD" } }]);
  });

  test("has each variant by its own index", async () => {
    const folder = tree({
      "model-00001-of-00001.safetensors": safetensors("a"),
      "model.fp16-00001-of-00001.safetensors": safetensors("a"),
      "model.safetensors.index.json": index({ a: "model-00001-of-00001.safetensors" }),
      "model.safetensors.index.fp16.json": index({ a: "model.fp16-00001-of-00001.safetensors" }),
    });
    expect((await opened(folder)).models).toHaveLength(2);
  });
});

test("some of the shards of a safetensors model are said to be some", async () => {
  const folder = tree({
    "m-00001-of-00002.safetensors": safetensors("a"),
    "m-00002-of-00002.safetensors": safetensors("b"),
  });
  const [one = "", two = ""] = [1, 2].map((no) => join(folder, `m-0000${no}-of-00002.safetensors`));
  expect((await opened(one)).notes).toEqual([expect.stringContaining("one of 2 shards")]);
  expect((await opened(one, two)).notes).toEqual([]);
});

describe("several operands", () => {
  test("of which some cannot be opened are opened as far as they can be", async () => {
    const folder = tree({ "m.gguf": model(), "broken.gguf": "x" });
    const absent = join(folder, "absent.gguf");
    const { files, failures } = await opened(
      absent,
      join(folder, "m.gguf"),
      join(folder, "broken.gguf"),
    );
    expect(under(folder, files)).toEqual(["m.gguf"]);
    expect(failures.map(({ path }) => basename(path))).toEqual(["absent.gguf", "broken.gguf"]);
  });

  test("of which none can be opened are each named", async () => {
    const folder = tree({ "a.gguf": "x", "b.gguf": model() });
    truncateSync(join(folder, "b.gguf"), 30);
    const { models, failures } = await opened(join(folder, "a.gguf"), join(folder, "b.gguf"));
    expect(models).toEqual([]);
    expect(failures).toHaveLength(2);
  });

  test("are given up at once when the signal fires", async () => {
    const folder = tree({ "a.gguf": model() });
    await expect(
      openModels([folder, folder], { signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: "PREFAULT_ABORTED" });
  });
});
