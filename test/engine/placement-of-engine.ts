/**
 * Loads a model with node-llama-cpp once for each number of GPU layers, and prints what llama.cpp
 * logged as JSON. A process of its own: the environment must be set before the engine starts, and
 * native code that crashes takes nothing else with it.
 *
 *     placement-of-engine.ts NODE_LLAMA_CPP [MODEL GPU_LAYERS...]
 *
 * Without a model it prints the names of the GPUs.
 */
import { setTimeout } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import type { Loaded } from "./engine.ts";

/** The part of node-llama-cpp that is used here. It is not a dependency, so neither are its types. */
interface NodeLlamaCpp {
  readonly LlamaLogLevel: { readonly debug: string };
  readonly NoBinaryFoundError: new () => Error;
  getLlama(options: {
    readonly gpu: "vulkan";
    readonly build: "never";
    readonly skipDownload: true;
    readonly progressLogs: false;
    readonly maxThreads: number;
    readonly logLevel: string;
    readonly logger: (level: string, message: string) => void;
  }): Promise<Llama>;
}

interface Llama {
  getGpuDeviceNames(): Promise<string[]>;
  loadModel(options: { modelPath: string; gpuLayers: number; useMmap: true }): Promise<LlamaModel>;
  dispose(): Promise<void>;
}

interface LlamaModel {
  readonly gpuLayers: number;
  createContext(options: { contextSize: number }): Promise<unknown>;
  dispose(): Promise<void>;
}

/** The first line of a load that says where things go. */
const START = /^load_tensors: loading model tensors/;

const [engine = "", modelPath, ...gpuLayers] = process.argv.slice(2);
const nodeLlamaCpp: NodeLlamaCpp = await import(pathToFileURL(engine).href);

// The log arrives in order but late: the end of one load's may come when the next has begun.
const logs: string[][] = [];
if (modelPath === undefined) {
  print(await deviceNames());
} else {
  const llama = await start();
  const loaded: number[] = [];
  for (const layers of gpuLayers.map(Number)) {
    const model = await llama.loadModel({ modelPath, gpuLayers: layers, useMmap: true });
    loaded.push(model.gpuLayers);
    // Reserves the graphs, which logs the places of their tensors.
    await model.createContext({ contextSize: 64 });
    await model.dispose();
  }
  await logsToEnd();
  print(loaded.map((layers, load): Loaded => ({ gpuLayers: layers, log: logs[load] ?? [] })));
  await llama.dispose();
}

function start(): Promise<Llama> {
  return nodeLlamaCpp.getLlama({
    gpu: "vulkan",
    build: "never",
    skipDownload: true,
    progressLogs: false,
    maxThreads: 2,
    logLevel: nodeLlamaCpp.LlamaLogLevel.debug,
    logger(_level, message) {
      if (START.test(message)) logs.push([]);
      logs.at(-1)?.push(message);
    },
  });
}

async function deviceNames(): Promise<string[]> {
  try {
    const llama = await start();
    const names = await llama.getGpuDeviceNames();
    await llama.dispose();
    return names;
  } catch (error) {
    // Without a device it takes its Vulkan binary for one that does not fit.
    if (error instanceof nodeLlamaCpp.NoBinaryFoundError) return [];
    throw error;
  }
}

async function logsToEnd(): Promise<void> {
  let before: number | undefined;
  do {
    before = logs.at(-1)?.length;
    await setTimeout(50);
  } while (before !== logs.at(-1)?.length);
}

function print(result: unknown): void {
  process.stdout.write(JSON.stringify(result));
}
