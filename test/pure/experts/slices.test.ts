import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RoutedLayer } from "../../../src/experts/routed-layers.ts";
import { expertNumbers, expertSlices, slicesOfExpert } from "../../../src/experts/slices.ts";
import { parseExpertName } from "../../../src/model/expert-names.ts";
import type { Model, Tensor } from "../../../src/model/model.ts";
import { openModel } from "../../../src/model/open-model.ts";
import { temporaryFolder } from "../../helpers/temporary-folder.ts";
import { writeSyntheticModel } from "../../models/synthetic-model.ts";
import { arbitraryModel, paperModel } from "./models.ts";

const tensor = (name: string, byteLength: number, shape: number[], offset = 0): Tensor => ({
  name,
  file: 0,
  offset,
  byteLength,
  dtype: "Q4_K",
  shape,
});

const unitsOf = (layer: RoutedLayer | undefined) =>
  layer === undefined
    ? []
    : expertNumbers(layer).map((expert) => slicesOfExpert({ layer, expert }));

const slicesOf = (model: Pick<Model, "tensors">) =>
  expertSlices(model).layers.flatMap(unitsOf).flat();

describe("names of routed experts", () => {
  test.each([
    ["blk.3.ffn_gate_exps.weight", 3, "gate", undefined],
    ["blk.12.ffn_gate_up_exps.weight", 12, "gate_up", undefined],
    ["blk.0.ffn_down_chexps.weight", 0, "down", undefined],
    ["blk.4.ffn_up.7.weight", 4, "up", 7],
    ["model.layers.3.mlp.experts.17.down_proj.weight", 3, "down", 17],
    ["model.layers.3.mlp.experts.17.gate_proj.weight_scale_inv", 3, "gate", 17],
    ["model.layers.1.block_sparse_moe.experts.2.w3.weight", 1, "up", 2],
    ["language_model.model.layers.5.feed_forward.experts.gate_up_proj", 5, "gate_up", undefined],
    ["model.layers.5.mlp.experts.down_proj_blocks", 5, "down", undefined],
  ])("%s", (name, block, part, expert) => {
    expect(parseExpertName(name)).toMatchObject({ block, part, expert });
  });

  test.each([
    "blk.3.ffn_gate_inp.weight",
    "blk.3.ffn_gate_shexp.weight",
    "blk.3.ffn_gate.weight",
    "blk.3.ffn_gate_exps.bias",
    "blk.3.ffn_gate_exps.scale",
    "blk.3.exp_probs_b.bias",
    "model.layers.3.mlp.shared_experts.gate_proj.weight",
    "model.layers.3.mlp.gate.weight",
    "model.layers.3.mlp.experts.gate_up_proj_bias",
    "mtp.layers.0.mlp.experts.0.gate_proj.weight",
    `layers.1.${"experts.".repeat(8000)}`,
  ])("are not %s", (name) => {
    expect(parseExpertName(name)).toBeUndefined();
  });
});

describe("expert slices", () => {
  test("tile each stacked tensor, in the order of the experts", () => {
    fc.assert(
      fc.property(arbitraryModel, (model) => {
        const { layers, unsliced } = expertSlices(model);
        expect(unsliced).toEqual([]);
        for (const { name, offset, byteLength } of model.tensors) {
          const slices = layers
            .flatMap(unitsOf)
            .flat()
            .filter((slice) => slice.tensor === name);
          if (!name.includes("_exps")) {
            expect(slices).toEqual([]);
            continue;
          }
          let at = offset;
          for (const slice of slices) {
            expect(slice.offset).toBe(at);
            at += slice.byteLength;
          }
          expect(at).toBe(offset + byteLength);
        }
      }),
    );
  });

  test("lie where an engine reads them, in a written model", async () => {
    const path = join(temporaryFolder(), "moe.gguf");
    await writeSyntheticModel({ kind: "moe-shared", path, contents: "hole" });
    const model = await openModel(path);
    const { layers } = expertSlices(model);
    expect(layers.map(({ block, experts }) => [block, experts])).toEqual([
      [0, 4],
      [1, 4],
    ]);
    const down = model.tensors.find(({ name }) => name === "blk.1.ffn_down_exps.weight");
    const [, , third] = unitsOf(layers[1]);
    expect(third?.find((slice) => slice.tensor === down?.name)).toEqual({
      tensor: down?.name,
      file: 0,
      offset: (down?.offset ?? 0) + ((down?.byteLength ?? 0) / 4) * 2,
      byteLength: (down?.byteLength ?? 0) / 4,
      isShared: false,
    });
  });

  test("keep the numbers of the blocks when the first ones are dense", () => {
    const { layers } = expertSlices(paperModel({ layers: 4, dense: 2 }));
    expect(layers.map(({ block }) => block)).toEqual([2, 3]);
  });

  test("are those of the tensors that were asked for", () => {
    const model = paperModel({ layers: 3 });
    const onCpu = model.tensors.filter(({ name }) => name.startsWith("blk.1."));
    const { layers } = expertSlices(model, onCpu);
    expect(layers.map(({ block }) => block)).toEqual([1]);
  });

  test("of tensors that hold one expert each are the tensors", () => {
    const tensors = [0, 1].flatMap((expert) => [
      tensor(`blk.0.ffn_gate.${expert}.weight`, 100, [10, 10], 300 * expert),
      tensor(`blk.0.ffn_down.${expert}.weight`, 200, [10, 10], 300 * expert + 100),
    ]);
    const [layer] = expertSlices({ tensors }).layers;
    expect(layer).toMatchObject({ experts: 2, byteLength: 600 });
    expect(unitsOf(layer).map((slices) => slices.map(({ offset }) => offset))).toEqual([
      [0, 100],
      [300, 400],
    ]);
  });

  test("of stacked safetensors go by the first dimension", () => {
    const tensors = [tensor("model.layers.0.mlp.experts.gate_up_proj", 4000, [4, 100, 10])];
    expect(slicesOf({ tensors }).map(({ offset }) => offset)).toEqual([0, 1000, 2000, 3000]);
  });

  test("of chunks are shared by the experts that use them", () => {
    const tensors = [
      tensor("blk.0.ffn_gate_exps.weight", 400, [10, 10, 4]),
      tensor("blk.0.ffn_gate_chexps.weight", 60, [10, 3, 2], 400),
    ];
    const [layer] = expertSlices({ tensors }).layers;
    expect(layer?.byteLength).toBe(460);
    expect(unitsOf(layer).map((slices) => slices.map(({ offset }) => offset))).toEqual([
      [0, 400],
      [100, 400],
      [200, 430],
      [300, 430],
    ]);
  });

  test.each([
    ["bytes that do not divide", tensor("blk.0.ffn_gate_exps.weight", 401, [10, 10, 4])],
    ["no dimension of experts", tensor("blk.0.ffn_gate_exps.weight", 400, [10, 10])],
    ["experts without end", tensor("blk.0.ffn_gate_exps.weight", 2 ** 40, [1, 1, 2 ** 40])],
    ["a number no expert has", tensor("blk.0.ffn_gate.99999.weight", 400, [10, 10])],
  ])("are not guessed at: %s", (_, odd) => {
    const { layers, unsliced } = expertSlices({ tensors: [odd] });
    expect(layers).toEqual([]);
    expect(unsliced.map((each) => each.tensor)).toEqual([odd]);
  });

  test("are not guessed at where the parts disagree on the experts", () => {
    const gate = tensor("blk.0.ffn_gate_exps.weight", 400, [10, 10, 4]);
    const down = tensor("blk.0.ffn_down_exps.weight", 400, [10, 10, 2]);
    const { layers, unsliced } = expertSlices({ tensors: [gate, down] });
    expect(unitsOf(layers[0])).toHaveLength(4);
    expect(unsliced.map((each) => each.tensor)).toEqual([down]);
  });

  test("of whatever a header claims lie in their tensors, or are not told", () => {
    const number = fc.oneof(
      fc.constantFrom(0, 1, 2, 4, 8, 65_535, 65_536, 65_537, 2 ** 31, 2 ** 53 - 1),
      fc.nat(40),
    );
    const name = fc
      .record({
        block: fc.constantFrom(0, 1, 999_999),
        part: fc.constantFrom(
          "gate_exps",
          "up_exps",
          "down_chexps",
          "gate.0",
          "gate.65535",
          "up.3",
        ),
      })
      .map(({ block, part }) => `blk.${block}.ffn_${part}.weight`);
    const hostile = fc.record({
      name,
      byteLength: number,
      shape: fc.array(number, { maxLength: 5 }),
    });
    fc.assert(
      fc.property(fc.array(hostile, { maxLength: 8 }), (claimed) => {
        const tensors = claimed.map((each) => tensor(each.name, each.byteLength, each.shape, 64));
        const lengths = new Map(tensors.map((each) => [each.name, each.byteLength]));
        for (const slice of slicesOf({ tensors }).slice(0, 1000)) {
          expect(Number.isSafeInteger(slice.byteLength) && slice.byteLength > 0).toBe(true);
          expect(slice.offset).toBeGreaterThanOrEqual(64);
          const most = Math.max(...tensors.map((each) => each.byteLength));
          expect(slice.offset + slice.byteLength).toBeLessThanOrEqual(64 + most);
          expect(lengths.has(slice.tensor)).toBe(true);
        }
      }),
    );
  });

  test("are refused when there are more than any model has", () => {
    const tensors = Array.from({ length: 40 }, (_, layer) =>
      tensor(`blk.${layer}.ffn_gate_exps.weight`, 65_536, [1, 1, 65_536]),
    );
    expect(() => expertSlices({ tensors })).toThrow(/claims 2621440 slices/);
  });

  test("of many tensors with the highest numbers take no memory to speak of", () => {
    const tensors = Array.from({ length: 20_000 }, (_, layer) =>
      tensor(`blk.${layer}.ffn_gate.65535.weight`, 32, [4, 4]),
    );
    expect(expertSlices({ tensors }).layers).toHaveLength(20_000);
  });
});
