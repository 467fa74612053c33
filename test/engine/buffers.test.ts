import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Model } from "../../src/model/model.ts";
import { openModel } from "../../src/model/open-model.ts";
import { type LlamaPlacement, type ModelPlan, planPass } from "../../src/passes/index.ts";
import { type ModelKind, writeSyntheticModel } from "../models/synthetic-model.ts";
import { type Buffers, buffersInEngine, type Load, whyNoEngine } from "./engine.ts";
import { mappedTensors, namesOf } from "./planned.ts";

interface Case {
  readonly placement: LlamaPlacement;
  /** What llama-server hands to llama.cpp for it, written out from its `common/arg.cpp`. */
  readonly load: Load;
}

const cpu = (pattern: string) => ({ pattern, buffer: "CPU" });
const gpu = (pattern: string) => ({ pattern, buffer: "Vulkan0" });

const EXPERTS = "\\.ffn_(up|down|gate|gate_up)_(ch|)exps";
const ALL = 99;
const HALF = 3;

const OVERRIDES: Record<string, Case> = {
  "-ngl 99 --cpu-moe": {
    placement: { gpuLayers: ALL, cpuMoe: true },
    load: { gpuLayers: ALL, overrides: [cpu(EXPERTS)] },
  },
  "-ngl 3 --cpu-moe": {
    placement: { gpuLayers: HALF, cpuMoe: true },
    load: { gpuLayers: HALF, overrides: [cpu(EXPERTS)] },
  },
  "-ngl 99 --n-cpu-moe 2": {
    placement: { gpuLayers: ALL, nCpuMoe: 2 },
    load: { gpuLayers: ALL, overrides: [cpu(`blk\\.0${EXPERTS}`), cpu(`blk\\.1${EXPERTS}`)] },
  },
  "-ngl 99 -ot 'ffn_(up|gate)=CPU'": {
    placement: { gpuLayers: ALL, overrides: [cpu("ffn_(up|gate)")] },
    load: { gpuLayers: ALL, overrides: [cpu("ffn_(up|gate)")] },
  },
  "-ngl 3 -ot 'blk\\.0\\.=Vulkan0', which leaves block 1 on the CPU": {
    placement: { gpuLayers: HALF, overrides: [gpu("blk\\.0\\.")] },
    load: { gpuLayers: HALF, overrides: [gpu("blk\\.0\\.")] },
  },
  "-ngl 0 -ot '.*=Vulkan0', the embedding too": {
    placement: { gpuLayers: 0, overrides: [gpu(".*")] },
    load: { gpuLayers: 0, overrides: [gpu(".*")] },
  },
  "-ngl 99 -ot 'blk\\.0\\.ffn=Vulkan0' -ot 'exps=CPU', of which the first wins": {
    placement: { gpuLayers: ALL, overrides: [gpu("blk\\.0\\.ffn"), cpu("exps")] },
    load: { gpuLayers: ALL, overrides: [gpu("blk\\.0\\.ffn"), cpu("exps")] },
  },
  "-ngl 99 -ot 'blk\\.1\\.=Vulkan0' --cpu-moe": {
    placement: { gpuLayers: ALL, overrides: [gpu("blk\\.1\\.")], cpuMoe: true },
    load: { gpuLayers: ALL, overrides: [gpu("blk\\.1\\."), cpu(EXPERTS)] },
  },
  "-ngl 99 --cpu-moe -ot 'blk\\.1\\.=Vulkan0'": {
    placement: { gpuLayers: ALL, cpuMoe: true, lateOverrides: [gpu("blk\\.1\\.")] },
    load: { gpuLayers: ALL, overrides: [cpu(EXPERTS), gpu("blk\\.1\\.")] },
  },
};

/** The models have 4 blocks, and one of MTP where there are gated delta nets. */
const SPLITS = Object.fromEntries(
  [0, 1, HALF, 5, 6].flatMap((gpuLayers) => [
    [`-ngl ${gpuLayers}`, { placement: { gpuLayers }, load: { gpuLayers } }],
    [
      `-ngl ${gpuLayers}, MTP in use`,
      { placement: { gpuLayers, mtp: true }, load: { gpuLayers, mtp: true } },
    ],
  ]),
);

const GROUPS: [ModelKind, Record<string, Case>][] = [
  ["moe", OVERRIDES],
  ["moe-shared", OVERRIDES],
  ["gdn", SPLITS],
  ["gdn-moe", { ...SPLITS, ...OVERRIDES }],
];

const unavailable = await whyNoEngine();
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prefault-engine-"));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(({ skip }) => skip(unavailable !== undefined, unavailable));

describe.each(GROUPS)("llama.cpp keeps the planned tensors of a %s model mapped", (kind, cases) => {
  const names = Object.keys(cases);
  let model: Model;
  let buffers: Buffers[];
  beforeAll(async () => {
    if (unavailable !== undefined) return;
    const path = join(folder, `${kind}.gguf`);
    await writeSyntheticModel({ kind, path, layers: 4 });
    model = await openModel(path);
    const loads = Object.values(cases).map(({ load }) => load);
    buffers = await buffersInEngine(path, loads);
  });

  test.each(names)("%s", (name) => {
    const plan = planPass(model, cases[name]?.placement);
    const found = buffers[names.indexOf(name)] ?? [];
    expect(inBuffer(found, "CPU_Mapped")).toEqual(namesOf(mappedTensors(plan)));
    expect(inBuffer(found, "Vulkan0")).toEqual(uploaded(plan));
  });
});

function uploaded({ elsewhere }: ModelPlan): string[] {
  return namesOf(elsewhere.filter(({ place }) => place === "gpu").map(({ tensor }) => tensor));
}

function inBuffer(buffers: Buffers, wanted: string): string[] {
  return buffers
    .filter(([, buffer]) => buffer === wanted)
    .map(([tensor]) => tensor)
    .sort();
}
