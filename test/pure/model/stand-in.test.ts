import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { openModel } from "../../../src/model/open-model.ts";
import { openModels } from "../../../src/model/open-models.ts";
import { ggufBytes } from "../../helpers/gguf-bytes.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";

const root = temporaryFolder();
let files = 0;

function written(name: string, contents: string | Buffer): string {
  const path = join(root, String(files++), name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, contents);
  return path;
}

const LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4920734272\n";
const PAGE = "<!doctype html><html><title>Hugging Face</title></html>";

describe("what was saved in place of a model is refused with what it is", () => {
  test.each([
    ["m.gguf", LFS, /Git LFS pointer to a model of 4920734272 bytes/],
    ["m.safetensors", LFS, /Git LFS pointer/],
    ["m.bin", LFS, /Git LFS pointer/],
    ["weights", LFS, /Git LFS pointer/],
    ["m.gguf", "# xet version 0\nfilesize = 7\n", /Xet pointer/],
    ["m.gguf", "/annex/objects/SHA256E-s1--aa.gguf\n", /git-annex pointer/],
    ["m.gguf", PAGE, /web page/],
    ["m.bin", `\n\n${PAGE}`, /web page/],
    ["m.gguf", "Entry not found", /server's message.*Entry not found/],
    ["m.bin", '{"error":"Invalid username or password."}', /server's message/],
    ["m.safetensors", "<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", /XML/],
    ["m.gguf", "hello", /does not begin with GGUF but with the text "hello"/],
    ["m.gguf", Buffer.alloc(4096), /with zeros \(an unfinished download\?\)/],
    ["m.gguf", Buffer.from("tjgg\x03\0\0\0more", "latin1"), /format ggjt, from before GGUF/],
    ["m.bin", Buffer.from("lmgg\x03\0\0\0more", "latin1"), /format ggml, from before GGUF/],
    ["presets.ini", "[a]\nctx-size = 4096\n", /INI file that names no model/],
    ["Modelfile", "PARAMETER num_gpu 20\n", /Modelfile without a line FROM/],
    ["Modelfile", "FROM no-such-model-anywhere:7b\n", /neither a file .* nor a model/],
    [
      "manifest",
      JSON.stringify({ schemaVersion: 2, layers: [] }),
      /manifest that names no weights/,
    ],
  ])("%s: %j", async (name, contents, message) => {
    const path = written(name, contents);
    const error = await openModel(path).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: expect.stringMatching(/INVALID_MODEL|NOT_FOUND/), path });
    expect(String(error)).toMatch(message);
    expect(String(error)).toContain(path);
  });

  test("also where a damaged model would be taken as bytes", async () => {
    const path = written("m.gguf", LFS);
    await expect(openModels([path], { asBytes: true })).rejects.toThrow("Git LFS pointer");
  });
});

describe("what is small and unknown is a whole file", () => {
  test.each([
    ["config.json", '{"model_type":"llama"}'],
    ["page.html", PAGE],
    ["notes.txt", "FROM here on"],
    ["Dockerfile", "FROM debian:12\n"],
    ["weights.bin", "0123456789"],
    ["broken.json", "{"],
  ])("%s", async (name, contents) => {
    const model = await openModel(written(name, contents));
    expect(model).toMatchObject({ format: "file", kind: "model", notes: [] });
  });

  test("and so is a large file in an old format, with a note", async () => {
    const path = written("old.bin", Buffer.concat([Buffer.from("tjgg"), Buffer.alloc(2 ** 20)]));
    const { format, notes } = await openModel(path);
    expect(format).toBe("file");
    expect(notes).toEqual([expect.stringContaining("format ggjt")]);
  });
});

describe("what names a model leads to it", () => {
  const blob = `sha256-${"a".repeat(64)}`;

  test.each([
    ["Modelfile", "# a model\nFROM ./m.gguf\nPARAMETER num_gpu 20\n"],
    ["Modelfile.q4", 'from "m.gguf"\n'],
    ["my.modelfile", "FROM m.gguf\r\n"],
    ["model", "FROM ./m.gguf\nTEMPLATE x\n"],
    ["saved.kcpps", '{"model_param":"m.gguf","gpulayers":20}'],
    ["presets.ini", "[*]\nc = 4096\n\n[m]\nmodel = m.gguf\n"],
    ["presets.ini", "[m]\n  m = ./m.gguf  \n"],
    ["presets.ini", "[m]\nLLAMA_ARG_MODEL=m.gguf\n"],
  ])("%s: %j", async (name, contents) => {
    const path = written(name, contents);
    const model = join(dirname(path), "m.gguf");
    writeFileSync(model, ggufBytes({}));
    expect(await openModel(path)).toMatchObject({ format: "gguf", files: [{ path: model }] });
  });

  test.each([`FROM ${blob}`, `FROM sha256:${"a".repeat(64)}`, "FROM m", "FROM library/m:latest"])(
    "a Modelfile's %s is looked up in the store beside it",
    async (line) => {
      const path = written("Modelfile", `${line}\n`);
      const store = join(dirname(path), "models");
      const manifests = join(store, "manifests/registry.ollama.ai/library/m");
      for (const folder of [join(store, "blobs"), manifests])
        mkdirSync(folder, { recursive: true });
      writeFileSync(join(store, "blobs", blob), ggufBytes({}));
      const layers = [
        { mediaType: "application/vnd.ollama.image.model", digest: blob.replace("-", ":") },
      ];
      writeFileSync(join(manifests, "latest"), JSON.stringify({ schemaVersion: 2, layers }));
      expect(await openModel(path)).toMatchObject({
        format: "gguf",
        files: [{ path: join(store, "blobs", blob) }],
      });
    },
  );

  test("and to an adapter beside the model", async () => {
    const path = written("Modelfile", "FROM ./m.gguf\nADAPTER ./a.gguf\n");
    for (const name of ["m.gguf", "a.gguf"])
      writeFileSync(join(dirname(path), name), ggufBytes({}));
    expect((await openModels([path])).models).toHaveLength(2);
  });

  test("each of a list of presets, with what is missing named", async () => {
    const path = written("p.ini", "[a]\nmodel = a.gguf\n[b]\nmodel = b.gguf\nmmproj = a.gguf\n");
    writeFileSync(join(dirname(path), "a.gguf"), ggufBytes({}));
    const { models, failures } = await openModels([path]);
    expect(models).toHaveLength(1);
    expect(failures).toMatchObject([{ error: { code: "PREFAULT_NOT_FOUND" } }]);
  });

  test("and to nothing where it leads to itself", async () => {
    const path = written("Modelfile", "FROM ./Modelfile\n");
    await expect(openModel(path)).rejects.toThrow("leads from file to file");
    await expect(openModels([path])).rejects.toThrow("leads from file to file");
  });

  test("an index under any name", async () => {
    const header = JSON.stringify({ t: { dtype: "F32", shape: [1], data_offsets: [0, 4] } });
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const path = written("index.json", JSON.stringify({ weight_map: { t: "s" } }));
    const shard = Buffer.concat([length, Buffer.from(header), Buffer.alloc(4)]);
    writeFileSync(join(dirname(path), "s"), shard);
    expect(await openModel(path)).toMatchObject({
      format: "safetensors",
      tensors: [{ name: "t" }],
    });
    // The first bytes tell a shard without a suffix as well.
    expect(await openModel(join(dirname(path), "s"))).toMatchObject({ format: "safetensors" });
  });
});
