import { describe, expect, test } from "vitest";
import { kindOf } from "../../../src/model/kind.ts";
import type { MetadataValue, ModelKind } from "../../../src/model/model.ts";

const kind = (metadata: Record<string, MetadataValue>, ...names: string[]) =>
  kindOf({
    metadata,
    tensors: names.map((name) => {
      return { name, file: 0, offset: 0, byteLength: 0, dtype: "F32", shape: [] };
    }),
  });

describe("what a file is to an engine", () => {
  test.each<[string, ModelKind, Record<string, MetadataValue>, string[]]>([
    ["its type", "mmproj", { "general.type": "mmproj" }, ["v.blk.0.attn_q.weight"]],
    [
      "its architecture",
      "mmproj",
      { "general.architecture": "clip", "general.type": "model" },
      ["v.a"],
    ],
    ["its tensors", "mmproj", { "general.architecture": "x" }, ["v.a", "mm.b", "a.c"]],
    ["its type", "adapter", { "general.type": "adapter", "general.architecture": "llama" }, ["a"]],
    ["its keys", "adapter", { "general.architecture": "llama", "adapter.type": "lora" }, ["a"]],
    ["its tensors", "adapter", {}, ["blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b"]],
    ["its type", "imatrix", { "general.type": "imatrix" }, []],
    ["its keys", "imatrix", { "imatrix.chunk_count": 1 }, ["a.in_sum2"]],
    ["its tensors", "imatrix", {}, ["blk.0.a.weight.in_sum2", "blk.0.a.weight.counts"]],
    [
      "its architecture",
      "control-vector",
      { "general.architecture": "controlvector" },
      ["direction.1"],
    ],
    ["its tensors", "control-vector", {}, ["direction.1", "direction.2"]],
    ["its tokens alone", "vocabulary", { "tokenizer.ggml.tokens": ["a"] }, []],
    ["its type", "vocabulary", { "general.type": "vocab" }, []],
    ["its type", "model", { "general.type": "model", "general.architecture": "llama" }, ["a"]],
    ["its embedding", "model", { "general.type": "mmproj" }, ["token_embd.weight", "v.a"]],
    ["nothing else", "model", {}, []],
    ["a part of it alone", "model", {}, ["blk.0.attn_q.weight", "v.a"]],
  ])("is told by %s: %s", (_, expected, metadata, names) => {
    expect(kind(metadata, ...names)).toBe(expected);
  });
});
