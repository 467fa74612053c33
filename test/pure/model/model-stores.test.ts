import { rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { mmproj, model, opened, trees, under } from "./trees.ts";

const tree = trees();

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
