import { chmodSync, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { describe, expect, test } from "vitest";
import { openModels } from "../../../src/model/open-models.ts";
import { ggufBytes, splitEntries, stringEntry, tensorInfo } from "../../helpers/gguf-bytes.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";

const root = temporaryFolder();
let folders = 0;

/** Writes files, with the folders that they lie in. @returns the folder of all */
function tree(files: Readonly<Record<string, Buffer | string>>): string {
  const folder = join(root, String(folders++));
  mkdirSync(folder);
  for (const [name, contents] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, contents);
  }
  return folder;
}

const model = (name = "t") =>
  ggufBytes({
    entries: [stringEntry("general.architecture", "llama")],
    tensors: [tensorInfo({ name })],
  });
const ofType = (type: string, name: string) =>
  ggufBytes({ entries: [stringEntry("general.type", type)], tensors: [tensorInfo({ name })] });
const mmproj = ofType("mmproj", "v.patch_embd.weight");
const imatrix = ofType("imatrix", "blk.0.attn_q.weight.in_sum2");

function safetensors(name: string): Buffer {
  const header = JSON.stringify({ [name]: { dtype: "F32", shape: [4], data_offsets: [0, 16] } });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(16)]);
}

async function opened(...paths: string[]) {
  const { models, failures, notes } = await openModels(paths);
  const files = models.flatMap((each) => each.files.map(({ path }) => path));
  return { models, files, failures, notes };
}

const under = (folder: string, files: readonly string[]) =>
  files.map((path) => path.slice(folder.length + 1).replaceAll(sep, "/"));

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
    await expect(openModels([join(root, "absent")])).rejects.toMatchObject({
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

describe("a Hugging Face cache", () => {
  function cache(): string {
    const folder = tree({
      "hub/models--org--m/blobs/7eaf": model(),
      "hub/models--org--m/blobs/9183": mmproj,
      "hub/models--org--m/blobs/0ld0": model("old"),
      "hub/models--org--m/refs/main": "fb58",
      "hub/models--org--m/snapshots/fb58/Q4/x": "x",
      "hub/models--org--m/snapshots/0000/x": "x",
      "hub/version.txt": "1",
    });
    const repository = join(folder, "hub/models--org--m");
    symlinkSync("../../../blobs/7eaf", join(repository, "snapshots/fb58/Q4/m.gguf"));
    symlinkSync("../../blobs/9183", join(repository, "snapshots/fb58/mmproj.gguf"));
    symlinkSync("../../blobs/0ld0", join(repository, "snapshots/0000/m.gguf"));
    return folder;
  }

  test.each(["", "hub", "hub/models--org--m"])(
    "is entered at %j by its current snapshot",
    async (at) => {
      const folder = cache();
      const { files, notes } = await opened(join(folder, at));
      expect(files.map((path) => path.replace(/.*snapshots./, ""))).toEqual([
        "fb58/mmproj.gguf",
        "fb58/Q4/m.gguf",
      ]);
      expect(notes).toContainEqual(expect.stringContaining("1 older snapshot was left out"));
    },
  );

  test("has blobs, which are told by what is in them", async () => {
    const blobs = join(cache(), "hub/models--org--m/blobs");
    writeFileSync(join(blobs, "aaaa"), "a tokenizer, say");
    writeFileSync(join(blobs, "bbbb.incomplete"), model());
    const { files } = await opened(blobs);
    expect(under(blobs, files)).toEqual(["0ld0", "7eaf", "9183"]);
  });

  test("of which a blob is gone says so", async () => {
    const folder = cache();
    rmSync(join(folder, "hub/models--org--m/blobs/7eaf"));
    const { files, failures } = await opened(folder);
    expect(files).toHaveLength(1);
    expect(failures).toMatchObject([{ error: { code: "PREFAULT_NOT_FOUND" } }]);
  });
});

describe("an Ollama store", () => {
  const digest = (letter: string) => letter.repeat(64);
  const layer = (type: string, letter: string) => ({
    mediaType: `application/vnd.ollama.image.${type}`,
    digest: `sha256:${digest(letter)}`,
  });
  const manifest = (...layers: object[]) => JSON.stringify({ schemaVersion: 2, layers });
  const store = () =>
    tree({
      [`models/blobs/sha256-${digest("a")}`]: model(),
      [`models/blobs/sha256-${digest("b")}`]: mmproj,
      [`models/blobs/sha256-${digest("c")}`]: "a template",
      "models/manifests/registry.ollama.ai/library/m/latest": manifest(
        layer("template", "c"),
        layer("projector", "b"),
        layer("model", "a"),
      ),
      "models/manifests/hf.co/org/n/Q4_K_M": manifest(layer("model", "a")),
      "models/manifests/registry.ollama.ai/library/gone/latest": manifest(layer("model", "d")),
    });

  test.each(["", "models"])("entered at %j has what its manifests name, each once", async (at) => {
    const folder = store();
    const { files, failures } = await opened(join(folder, at));
    expect(files.map((path) => basename(path))).toEqual([
      `sha256-${digest("a")}`,
      `sha256-${digest("b")}`,
    ]);
    expect(failures).toMatchObject([{ error: { code: "PREFAULT_MISSING_SHARD" } }]);
  });

  test("has a model of the cloud in a note", async () => {
    const folder = tree({
      [`models/blobs/sha256-${digest("a")}`]: model(),
      "models/manifests/registry.ollama.ai/library/m/latest": manifest(layer("model", "a")),
      "models/manifests/registry.ollama.ai/library/m/cloud": manifest(layer("template", "c")),
    });
    const { models, failures, notes } = await opened(folder);
    expect({ count: models.length, failures }).toEqual({ count: 1, failures: [] });
    expect(notes).toEqual([expect.stringContaining("names no weights")]);
  });

  test("may be laid out as Docker's is", async () => {
    const folder = tree({
      [`models/blobs/sha256/${digest("a")}`]: model(),
      [`models/manifests/sha256/${digest("e")}`]: manifest({
        mediaType: "application/vnd.docker.ai.gguf.v3",
        digest: `sha256:${digest("a")}`,
      }),
    });
    expect((await opened(folder)).files).toHaveLength(1);
    expect((await opened(join(folder, "models/blobs"))).files).toHaveLength(1);
  });

  test("has its blobs, which are told by what is in them", async () => {
    const blobs = join(store(), "models/blobs");
    expect((await opened(blobs)).files).toHaveLength(2);
  });

  test("leads from a manifest to the model and its projector", async () => {
    const path = join(store(), "models/manifests/registry.ollama.ai/library/m/latest");
    const { models } = await opened(path);
    expect(models.map(({ kind }) => kind)).toEqual(["model", "mmproj"]);
  });
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
