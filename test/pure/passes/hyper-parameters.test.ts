import { describe, expect, test } from "vitest";
import type { MetadataValue } from "../../../src/model/model.ts";
import {
  isAttentionLayer,
  isMoeLayer,
  sharesKv,
} from "../../../src/passes/gguf/hyper-parameters.ts";
import { indexModel } from "../../../src/passes/index.ts";
import { buildModel, indexed, modelOf, type Shape } from "./models.ts";

const hyperOf = (shape: Shape) => indexed(shape).hyper;

describe("derived from metadata", () => {
  test("blocks, less the MTP ones", () => {
    const hyper = hyperOf({ layers: 4, nextn: 2 });
    expect([hyper.layers, hyper.allBlocks]).toEqual([4, 6]);
    expect([hyper.hasMtp, hyper.mtpIsMoe]).toEqual([true, false]);
    expect(hyperOf({ layers: 4, nextn: 1, experts: 4 }).mtpIsMoe).toBe(true);
    expect(hyperOf({ layers: 4 }).hasMtp).toBe(false);
  });

  test("an MTP head without its projection is none", () => {
    const tensors = { "blk.2.nextn.eh_proj.weight": { name: "blk.2.other.weight" } };
    expect(hyperOf({ layers: 2, nextn: 1, tensors }).hasMtp).toBe(false);
  });

  test("experts, shared experts, dense layers in front", () => {
    expect(hyperOf({ layers: 2 }).experts).toBe(0);
    expect(hyperOf({ layers: 2, experts: 8 }).hasSharedExpert).toBe(false);
    const hyper = hyperOf({ layers: 3, experts: 8, shared: true, leadingDense: 1 });
    expect([hyper.experts, hyper.hasSharedExpert]).toEqual([8, true]);
    expect([0, 1, 2].map((layer) => isMoeLayer(hyper, layer))).toEqual([false, true, true]);
  });

  test("tied output, post norms, per-layer embeddings", () => {
    const plain = hyperOf({ layers: 1 });
    expect([plain.isTied, plain.hasPostFfnNorm, plain.hasPerLayerEmbedding]).toEqual([
      false,
      false,
      false,
    ]);
    const gemma = hyperOf({ arch: "gemma4", layers: 1, tied: true, postNorms: true, ple: true });
    expect([gemma.isTied, gemma.hasPostAttentionNorm, gemma.hasPostFfnNorm]).toEqual([
      true,
      true,
      true,
    ]);
    expect([gemma.isGemma4Like, gemma.hasPerLayerEmbedding]).toEqual([true, true]);
  });

  test("gated delta nets: every fourth layer is attention unless told otherwise", () => {
    const attention = (shape: Shape) => {
      const hyper = hyperOf(shape);
      return [0, 1, 2, 3].map((layer) => isAttentionLayer(hyper, layer));
    };
    expect(attention({ layers: 4, gdn: true })).toEqual([false, false, false, true]);
    expect(attention({ layers: 4, gdn: true, interval: 2 })).toEqual([false, true, false, true]);
    expect(hyperOf({ layers: 4, gdn: true }).isHybridSsm).toBe(true);
    expect(hyperOf({ layers: 4 }).isHybridSsm).toBe(false);
    expect(hyperOf({ arch: "qwen35moe", layers: 4 }).isHybridSsm).toBe(true);
  });

  test("k==v layers have keys and no values", () => {
    expect(hyperOf({ layers: 3, keyIsValue: [1] }).keyIsValue).toEqual([false, true, false]);
  });
});

describe("borrowed keys and values", () => {
  const key = "gemma4.attention.sliding_window_pattern";
  const shape: Shape = { arch: "gemma4", layers: 6, sharedKv: 2 };

  test("from the nearest earlier layer that has its own", () => {
    const hyper = hyperOf(shape);
    expect(hyper.kvSource).toEqual([-1, -1, -1, -1, 3, 3]);
    expect(sharesKv(hyper, 3)).toBe(false);
    expect(sharesKv(hyper, 4)).toBe(true);
  });

  test("of the same kind, by a list or by a period", () => {
    const pattern = [true, true, false, true, true, false];
    const kinds = { ...shape, metadata: { [key]: pattern } };
    expect(hyperOf(kinds).kvSource).toEqual([-1, -1, -1, -1, 3, 2]);
    expect(hyperOf({ ...shape, metadata: { [key]: 3 } }).kvSource).toEqual(hyperOf(kinds).kvSource);
  });

  test("a kind that never has its own borrows nothing", () => {
    const pattern = [true, true, true, true, true, false];
    expect(hyperOf({ ...shape, metadata: { [key]: pattern } }).kvSource[5]).toBe(-1);
  });
});

describe("hostile metadata is refused", () => {
  const cases: [string, MetadataValue][] = [
    ["block_count", 2 ** 31],
    ["block_count", 2n ** 63n],
    ["block_count", -1],
    ["block_count", 1.5],
    ["block_count", Number.NaN],
    ["block_count", Number.POSITIVE_INFINITY],
    ["block_count", "4"],
    ["block_count", [4]],
    ["block_count", true],
    ["nextn_predict_layers", 3],
    ["nextn_predict_layers", -1],
    ["expert_count", 2 ** 40],
    ["leading_dense_block_count", 99],
    ["full_attention_interval", 0],
    ["attention.shared_kv_layers", 3],
    ["attention.sliding_window_pattern", "all"],
    ["attention.sliding_window_pattern", ["yes"]],
    ["attention.sliding_window_pattern", [[true]]],
  ];
  test.each(cases)("%s = %s", (key, value) => {
    expect(() => indexed({ layers: 2, metadata: { [`qwen3.${key}`]: value } })).toThrow(
      expect.objectContaining({
        code: "PREFAULT_INVALID_MODEL",
        message: expect.stringContaining(`qwen3.${key}`),
      }),
    );
  });

  test("whole numbers may be bigints", () => {
    expect(hyperOf({ layers: 2, metadata: { "qwen3.block_count": 2n } }).layers).toBe(2);
  });

  test("no architecture, no block count, an architecture that is no name", () => {
    const metadata: Record<string, MetadataValue>[] = [
      {},
      { "general.architecture": "qwen3" },
      { "general.architecture": 7, "7.block_count": 1 },
      { "general.architecture": "__proto__" },
    ];
    for (const values of metadata) {
      expect(() => indexModel(buildModel(["a.weight"], values))).toThrow(
        expect.objectContaining({ code: "PREFAULT_INVALID_MODEL" }),
      );
    }
  });

  test("a block number that no model has is read as a name, not counted to", () => {
    const model = modelOf({ layers: 1, tensors: { "rope_freqs.weight": { name: "blk.1e9.x" } } });
    expect(indexModel(model).hyper.layers).toBe(1);
  });
});
