import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GGMLQuantizationType, gguf } from "@huggingface/gguf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { intoShards } from "../models/file-writer.ts";
import { type ModelKind, writeSyntheticModel } from "../models/synthetic-model.ts";

const KINDS = [
  "dense",
  "dense-tied",
  "moe",
  "moe-shared",
  "gdn",
  "gdn-moe",
  "per-layer-embeddings",
] as const satisfies readonly ModelKind[];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "synthetic-model-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const sha256 = (paths: readonly string[]): string => {
  const digest = createHash("sha256");
  for (const path of paths) digest.update(readFileSync(path));
  return digest.digest("hex");
};

/** Places every tensor by the words of an independent reader. */
async function parse(path: string) {
  const { metadata, tensorInfos, tensorDataOffset } = await gguf(path, { allowLocalFile: true });
  const keys: Record<string, unknown> = { ...metadata };
  const tensors = tensorInfos.map(({ name, dtype, shape, offset }) => ({
    name,
    dtype: GGMLQuantizationType[dtype],
    shape: shape.map(Number),
    offset: Number(tensorDataOffset + offset),
  }));
  return { keys, tensors };
}

const write = (kind: ModelKind, name: string, options: object = {}) =>
  writeSyntheticModel({ kind, path: join(folder, `${name}.gguf`), ...options });

const namesOf = async (kind: ModelKind, options: object = {}): Promise<string[]> => {
  const { tensors } = await write(kind, `names-${kind}`, { contents: "hole", ...options });
  return tensors.map(({ name }) => name);
};

describe.each(KINDS)("a %s model", (kind) => {
  test("lies where the writer says, without gaps wider than the alignment, up to the file's last byte", async () => {
    const { paths, tensors } = await write(kind, kind);
    const path = paths[0] ?? "";
    const parsed = await parse(path);
    expect(
      tensors.map(({ name, dtype, shape, offset }) => ({ name, dtype, shape, offset })),
    ).toEqual(parsed.tensors);
    let end = tensors[0]?.offset ?? 0;
    for (const { offset, byteLength } of tensors) {
      expect(offset % 32).toBe(0);
      expect(offset - end).toBeGreaterThanOrEqual(0);
      expect(offset - end).toBeLessThan(32);
      end = offset + byteLength;
    }
    expect(statSync(path).size).toBe(end);
  });

  test("has the same bytes for the same seed, and others for another", async () => {
    const first = await write(kind, `${kind}-a`, { seed: 7 });
    const second = await write(kind, `${kind}-b`, { seed: 7 });
    const other = await write(kind, `${kind}-c`, { seed: 8 });
    expect(sha256(second.paths)).toBe(sha256(first.paths));
    expect(sha256(other.paths)).not.toBe(sha256(first.paths));
  });

  test.each([64 * 1024 ** 2, 3 * 1024 ** 3])(
    "comes close to a target of %d bytes",
    async (targetBytes) => {
      const { paths } = await write(kind, `${kind}-sized`, { targetBytes, contents: "hole" });
      expect(Math.abs(statSync(paths[0] ?? "").size / targetBytes - 1)).toBeLessThan(0.03);
    },
  );
});

test.each(["moe", "moe-shared", "gdn-moe"] as const)(
  "routed experts are most of a %s model of a gibibyte",
  async (kind) => {
    const { tensors } = await write(kind, `share-${kind}`, {
      targetBytes: 1024 ** 3,
      contents: "hole",
    });
    const bytes = (wanted: RegExp): number =>
      tensors
        .filter(({ name }) => wanted.test(name))
        .reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(bytes(/_exps\.weight$/) / bytes(/./)).toBeGreaterThan(0.9);
  },
);

test("the tensor data is random, and its scales are finite", async () => {
  const { paths, tensors } = await write("moe", "finite", {
    targetBytes: 20 * 1024 ** 2,
    expertDtype: "Q8_0",
  });
  const bytes = readFileSync(paths[0] ?? "");
  for (const { name, dtype, offset, byteLength } of tensors) {
    const data = bytes.subarray(offset, offset + byteLength);
    if (dtype === "F32") {
      for (let at = 0; at < byteLength; at += 4)
        expect(Math.abs(data.readFloatLE(at)), name).toBeLessThan(2);
    } else {
      const blockBytes = { Q5_0: 22, Q5_1: 24, Q8_0: 34 }[dtype] ?? Number.NaN;
      const scales = Array.from({ length: byteLength / blockBytes }, (_, block) =>
        data.readUInt16LE(block * blockBytes),
      );
      expect(
        scales.filter((half) => (half & 0x7c00) === 0x7c00),
        name,
      ).toEqual([]);
      expect(new Set(scales).size, name).toBeGreaterThan(100);
    }
  }
});

test("a hole has the length and the header of the real thing", async () => {
  const real = await write("moe", "real");
  const hole = await write("moe", "hole", { contents: "hole" });
  expect(hole.tensors).toEqual(real.tensors);
  expect(statSync(hole.paths[0] ?? "").size).toBe(statSync(real.paths[0] ?? "").size);
  expect((await parse(hole.paths[0] ?? "")).tensors).toEqual(
    (await parse(real.paths[0] ?? "")).tensors,
  );
});

describe("a split model", () => {
  test("has the tensors of the whole one, in order, in shards that name their place", async () => {
    const whole = await write("moe", "whole");
    const { paths, tensors } = await write("moe", "split", { shards: 3 });
    expect(paths.map((path) => path.slice(folder.length + 1))).toEqual([
      "split-00001-of-00003.gguf",
      "split-00002-of-00003.gguf",
      "split-00003-of-00003.gguf",
    ]);
    expect(tensors.map(({ name }) => name)).toEqual(whole.tensors.map(({ name }) => name));
    for (const [file, path] of paths.entries()) {
      const { keys, tensors: found } = await parse(path);
      const placed = tensors.filter((tensor) => tensor.file === file);
      expect(found.map(({ name, offset }) => ({ name, offset }))).toEqual(
        placed.map(({ name, offset }) => ({ name, offset })),
      );
      expect(placed.length).toBeGreaterThan(0);
      const last = placed.at(-1);
      expect((last?.offset ?? 0) + (last?.byteLength ?? 0)).toBe(statSync(path).size);
      expect(keys).toMatchObject({
        "split.no": file,
        "split.count": 3,
        "split.tensors.count": tensors.length,
      });
      expect("general.architecture" in keys).toBe(file === 0);
    }
  });

  test("keeps a tensor's bytes wherever it lies", async () => {
    const bytesOf = (
      { paths, tensors }: Awaited<ReturnType<typeof write>>,
      name: string,
    ): Buffer => {
      const tensor = tensors.find((candidate) => candidate.name === name);
      if (tensor === undefined) throw new Error(`no tensor ${name}`);
      return readFileSync(paths[tensor.file] ?? "").subarray(
        tensor.offset,
        tensor.offset + tensor.byteLength,
      );
    };
    const whole = await write("moe", "bytes-whole");
    const split = await write("moe", "bytes-split", { shards: 4 });
    for (const { name } of whole.tensors)
      expect(bytesOf(split, name).equals(bytesOf(whole, name)), name).toBe(true);
  });

  test("may have a first shard without tensors", async () => {
    const { paths, tensors } = await write("dense", "bare", { shards: 2, metadataShard: true });
    expect(paths).toHaveLength(3);
    const { keys, tensors: found } = await parse(paths[0] ?? "");
    expect(found).toEqual([]);
    expect(keys).toMatchObject({ "general.architecture": "qwen3", "split.count": 3 });
    expect(tensors.some(({ file }) => file === 0)).toBe(false);
  });

  test("has no empty shard however uneven the tensors are", () => {
    expect(intoShards([1, 1, 100], 3, Number)).toEqual([[1], [1], [100]]);
    expect(intoShards([100, 1, 1], 3, Number)).toEqual([[100], [1], [1]]);
    expect(intoShards([1, 100, 1, 1], 2, Number)).toEqual([
      [1, 100],
      [1, 1],
    ]);
    expect(() => intoShards([1, 2], 3, Number)).toThrow(RangeError);
  });
});

describe("the tensors that placement rules look for", () => {
  test("a tied model has no head of its own", async () => {
    expect(await namesOf("dense")).toContain("output.weight");
    expect(await namesOf("dense-tied")).not.toContain("output.weight");
  });

  test("shared experts come beside the routed ones", async () => {
    const names = await namesOf("moe-shared");
    for (const role of [
      "gate_inp",
      "gate_exps",
      "up_exps",
      "down_exps",
      "gate_shexp",
      "up_shexp",
      "down_shexp",
    ]) {
      expect(names).toContain(`blk.0.ffn_${role}.weight`);
    }
    expect(names).toContain("blk.0.attn_q.bias");
  });

  test("a recurrent model has attention in every fourth layer, and its prediction head after the last", async () => {
    const names = await namesOf("gdn", { layers: 8 });
    const layersWith = (role: string): number[] =>
      names.filter((name) => name.endsWith(`.${role}`)).map((name) => Number(name.split(".")[1]));
    expect(layersWith("attn_q.weight")).toEqual([3, 7, 8]);
    expect(layersWith("ssm_out.weight")).toEqual([0, 1, 2, 4, 5, 6]);
    expect(layersWith("nextn.eh_proj.weight")).toEqual([8]);
    const { keys } = await parse((await write("gdn", "gdn-keys", { layers: 8 })).paths[0] ?? "");
    expect(keys).toMatchObject({ "qwen35.block_count": 9, "qwen35.nextn_predict_layers": 1 });
  });

  test("a recurrent mixture's prediction head is a mixture too, and can be left out", async () => {
    expect(await namesOf("gdn-moe")).toContain("blk.4.ffn_gate_exps.weight");
    const without = await write("gdn-moe", "headless", { mtp: false });
    expect(without.tensors.some(({ name }) => name.startsWith("blk.4."))).toBe(false);
    const { keys } = await parse(without.paths[0] ?? "");
    expect(keys["qwen35moe.block_count"]).toBe(4);
    expect(keys).not.toHaveProperty("qwen35moe.nextn_predict_layers");
  });

  test("per-layer embeddings come with layers that share keys, and on request with keys that are values", async () => {
    const names = await namesOf("per-layer-embeddings", { layers: 3, sharedKvLayers: 1 });
    expect(names).toContain("per_layer_token_embd.weight");
    expect(names).toContain("per_layer_proj_norm.weight");
    for (const role of ["inp_gate", "proj", "post_norm", "post_attention_norm", "post_ffw_norm"]) {
      expect(names).toContain(`blk.2.${role}.weight`);
    }
    const keyed = (all: string[], role: string): boolean[] =>
      [0, 1, 2].map((i) => all.includes(`blk.${i}.attn_${role}.weight`));
    expect(keyed(names, "k")).toEqual([true, true, false]);
    expect(keyed(names, "v")).toEqual([true, true, false]);
    const merged = await namesOf("per-layer-embeddings", {
      layers: 3,
      sharedKvLayers: 1,
      keyIsValue: true,
    });
    expect(keyed(merged, "k")).toEqual([true, true, false]);
    expect(keyed(merged, "v")).toEqual([true, false, false]);
  });
});
