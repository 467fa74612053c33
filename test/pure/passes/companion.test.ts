import { describe, expect, test } from "vitest";
import type { Model, ModelKind } from "../../../src/model/model.ts";
import { planPass } from "../../../src/passes/index.ts";

const companion = (kind: ModelKind, notes: string[] = []): Model => ({
  format: "gguf",
  files: [{ path: "/m/x.gguf", byteLength: 1000 }],
  tensors: [{ name: "v.a", file: 0, offset: 96, byteLength: 32, dtype: "F32", shape: [8] }],
  metadata: {},
  kind,
  notes,
});

describe("what is loaded beside a model", () => {
  test.each(["mmproj", "adapter", "control-vector", "vocabulary"] as const)(
    "is planned as a whole, as a %s",
    (kind) => {
      const { runs, notes } = planPass(companion(kind), { gpuLayers: 4, cpuMoe: true });
      const whole = { tensor: { offset: 0, byteLength: 1000 }, reason: `${kind}, the whole file` };
      expect(runs).toMatchObject([{ label: kind, regions: [whole] }]);
      expect(notes).toEqual([expect.stringContaining("the placement says nothing of it")]);
    },
  );

  test("is not planned where nothing reads it", () => {
    const { runs, elsewhere, notes } = planPass(companion("imatrix"), { gpuLayers: 4 });
    expect(runs).toEqual([]);
    expect(elsewhere).toMatchObject([{ place: "unused" }]);
    expect(notes).toEqual([expect.stringContaining("it was left out")]);
  });

  test("is spoken of once", () => {
    const said = "/m/x.gguf is a projector for images or sound (mmproj); the whole of it counts";
    expect(planPass(companion("mmproj", [said])).notes).toEqual([said]);
  });
});

test("experts that are tensors of their own are called routed experts", () => {
  const tensors = ["token_embd.weight", "blk.0.ffn_gate.3.weight", "blk.0.ffn_down.11.weight"].map(
    (name, index) => ({
      name,
      file: 0,
      offset: 32 * index,
      byteLength: 32,
      dtype: "F32",
      shape: [8],
    }),
  );
  const { runs } = planPass({
    format: "gguf",
    files: [{ path: "/m/x.gguf", byteLength: 1000 }],
    tensors,
    metadata: { "general.architecture": "llama", "llama.block_count": 1, "llama.expert_count": 8 },
  });
  expect(runs[1]?.regions.map(({ reason }) => reason)).toEqual([
    "routed experts of CPU layers",
    "routed experts of CPU layers",
  ]);
});
