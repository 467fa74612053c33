import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Model } from "../../src/model/model.ts";
import { openModel } from "../../src/model/open-model.ts";
import { type ModelPlan, placementOfNodeLlamaCpp, planPass } from "../../src/passes/index.ts";
import {
  type ModelKind,
  type SyntheticModelOptions,
  writeSyntheticModel,
} from "../models/synthetic-model.ts";
import { type Loaded, loadInEngine, whyNoEngine } from "./engine.ts";
import { type EnginePlacement, type Place, parseEngineLog } from "./engine-log.ts";
import { mappedSpans, mappedTensors, namesOf } from "./planned.ts";

/** Blocks that compute; models with gated delta nets have an MTP block besides. */
const LAYERS = 4;
/** Large enough for a size in MiB with two decimals to tell one block more or less. */
const TARGET_BYTES = 24 * 2 ** 20;

type GpuLayers = (blocks: number) => number;

/** By the number of blocks, MTP ones included. */
const GPU_LAYERS: readonly [named: string, GpuLayers][] = [
  ["no layer", () => 0],
  ["one layer, which is the head", () => 1],
  ["half as many layers as blocks", (blocks) => Math.floor(blocks / 2)],
  ["one layer less than blocks", (blocks) => blocks - 1],
  ["as many layers as blocks, which leaves block 0", (blocks) => blocks],
  ["all blocks and the head", (blocks) => blocks + 1],
  ["one layer more than there is", (blocks) => blocks + 2],
];

const unavailable = await whyNoEngine();
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefault-engine-"));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(({ skip }) => skip(unavailable !== undefined, unavailable));

describe.each<ModelKind>(["dense", "dense-tied", "moe", "moe-shared", "per-layer-embeddings"])(
  "llama.cpp with a %s model",
  (kind) => {
    const engine = engineWith({ kind });
    test.each(GPU_LAYERS)("reads the planned tensors from the mapping: %s", (_, of) => {
      const { plan, placement } = engine.at(of);
      expect(placement.layers).toEqual(engine.plannedLayers(of));
      expect([...placement.tensors.keys()].sort()).toEqual(namesOf(plan.model.tensors));
      expect(cpuTensors(placement)).toEqual(namesOf(mappedTensors(plan)));
      expect(placement.mapped).toEqual(mappedSpans(plan));
    });

    test.each(GPU_LAYERS)("is planned alike by what the loaded model says: %s", (_, of) => {
      const { plan, gpuLayers } = engine.at(of);
      const told = placementOfNodeLlamaCpp({ gpuLayers });
      if (!told.known) throw new Error(told.reason);
      const retold = planPass(plan.model, told.placement);
      expect(namesOf(mappedTensors(retold))).toEqual(namesOf(mappedTensors(plan)));
    });
  },
);

describe("llama.cpp with a moe model in 3 shards", () => {
  const engine = engineWith({ kind: "moe", shards: 3 });
  test.each(GPU_LAYERS)("maps the planned span of every shard: %s", (_, of) => {
    const { plan, placement } = engine.at(of);
    expect(plan.model.files).toHaveLength(3);
    expect(cpuTensors(placement)).toEqual(namesOf(mappedTensors(plan)));
    expect(placement.mapped).toEqual(mappedSpans(plan));
  });
});

// On a software GPU the graphs of gated delta nets are split otherwise than the weights: what the
// log says of single tensors is not where they are. `buffers.test.ts` asks the engine itself.
describe.each<ModelKind>(["gdn", "gdn-moe"])(
  "llama.cpp with a %s model and an MTP block",
  (kind) => {
    const engine = engineWith({ kind });
    test.each(GPU_LAYERS)("maps the planned layers: %s", (_, of) => {
      const { plan, placement } = engine.at(of);
      expect(placement.layers).toHaveLength(LAYERS + 2);
      expect(placement.layers).toEqual(engine.plannedLayers(of));
      expect(placement.mapped).toEqual(mappedSpans(plan));
    });
  },
);

/** Writes a model and loads it with every number of layers, before the tests of this group. */
function engineWith(options: Omit<SyntheticModelOptions, "path">) {
  let model: Model;
  let blocks: number;
  let loads: Loaded[];
  beforeAll(async () => {
    if (unavailable !== undefined) return;
    const path = join(folder, `${options.kind}-${options.shards ?? 1}.gguf`);
    const shape = { layers: LAYERS, targetBytes: TARGET_BYTES };
    const { paths } = await writeSyntheticModel({ ...shape, ...options, path });
    model = await openModel(paths[0] ?? path);
    blocks = Number(model.metadata[`${model.metadata["general.architecture"]}.block_count`]);
    loads = await loadInEngine(
      model.files[0]?.path ?? path,
      GPU_LAYERS.map(([, of]) => of(blocks)),
    );
  });
  return {
    at(of: GpuLayers): { plan: ModelPlan; placement: EnginePlacement; gpuLayers: number } {
      const load = loads[GPU_LAYERS.findIndex(([, given]) => given === of)];
      if (load === undefined) throw new Error("the engine loaded the model fewer times than asked");
      return {
        plan: planPass(model, { gpuLayers: of(blocks) }),
        placement: parseEngineLog(load.log, model.tensors),
        gpuLayers: load.gpuLayers,
      };
    },
    /** An MTP block gets its layer even when its tensors are not loaded. */
    plannedLayers(of: GpuLayers): Place[] {
      const plan = planPass(model, { gpuLayers: of(blocks), mtp: true });
      const mapped = new Set(namesOf(mappedTensors(plan)));
      const samples = Array.from({ length: blocks }, (_, block) => `blk.${block}.attn_norm.weight`);
      return [...samples, "output_norm.weight"].map((name) => (mapped.has(name) ? "CPU" : "GPU"));
    },
  };
}

function cpuTensors({ tensors }: EnginePlacement): string[] {
  return [...tensors]
    .filter(([, places]) => places.has("CPU"))
    .map(([name]) => name)
    .sort();
}
