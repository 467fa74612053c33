import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TensorOverride } from "../../src/passes/index.ts";
import { parseOutput, runScript } from "../helpers/run-child.ts";

/** What one load of a model by node-llama-cpp gave. */
export interface Loaded {
  /** As the engine understood it. */
  readonly gpuLayers: number;
  readonly log: readonly string[];
}

/** How llama-server would load a model. */
export interface Load {
  readonly gpuLayers: number;
  readonly overrides?: readonly TensorOverride[];
  readonly mtp?: boolean;
}

/** Every tensor with its buffer. One that is in two has two entries. */
export type Buffers = (readonly [tensor: string, buffer: string])[];

const PACKAGES = fileURLToPath(new URL("../../build/engine/node_modules", import.meta.url));
const NODE_LLAMA_CPP = join(PACKAGES, "node-llama-cpp/dist/index.js");
const LIBRARIES = join(PACKAGES, "@node-llama-cpp/linux-x64-vulkan/bins/linux-x64-vulkan");

/** Why there is no engine to agree with; nothing when there is one. */
export async function whyNoEngine(): Promise<string | undefined> {
  if (!existsSync(NODE_LLAMA_CPP) || !existsSync(LIBRARIES)) {
    return "no engine in build/engine: run `npx tsx scripts/install-engine.ts`";
  }
  const devices: string[] = await askEngine("placement-of-engine.ts", NODE_LLAMA_CPP);
  if (devices.length > 0) return undefined;
  return "no Vulkan device: install mesa-vulkan-drivers and libvulkan1 for one in software";
}

/** Loads a model, the first of its files, with each of these numbers of GPU layers. */
export function loadInEngine(path: string, gpuLayers: readonly number[]): Promise<Loaded[]> {
  return askEngine("placement-of-engine.ts", NODE_LLAMA_CPP, path, ...gpuLayers.map(String));
}

/** Loads a model in each of these ways. */
export function buffersInEngine(path: string, loads: readonly Load[]): Promise<Buffers[]> {
  return askEngine("buffers-of-engine.ts", LIBRARIES, path, JSON.stringify(loads));
}

async function askEngine<Result>(name: string, ...args: string[]): Promise<Result> {
  const child = await runScript(new URL(name, import.meta.url), args, {
    env: {
      // A software GPU is a CPU to the engine, which takes it only when told to.
      GGML_VK_VISIBLE_DEVICES: "0",
      // Logs every tensor of every graph with its backend.
      GGML_SCHED_DEBUG: "2",
    },
  });
  return parseOutput<Result>(child);
}
