import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** The part of node-llama-cpp used here; it is no dependency, so its types are not at hand. */
interface NodeLlamaCpp {
  getLlama(options: object): Promise<{ loadModel(options: object): Promise<LoadedModel> }>;
  readonly LlamaLogLevel: { readonly error: string };
}

export interface LoadedModel {
  readonly tokens: { readonly bos: number | null };
  tokenize(text: string): number[];
  detokenize(tokens: readonly number[]): string;
  createContext(options: object): Promise<{ getSequence(): Sequence }>;
}

export interface Sequence {
  evaluate(tokens: readonly number[], options: object): AsyncIterable<number>;
  clearHistory(): Promise<void>;
}

export interface LoadOptions {
  readonly path: string;
  /** The folder whose `node_modules` holds node-llama-cpp. */
  readonly engine: string;
  readonly gpuLayers?: number;
  /**
   * @defaultValue one processor fewer than there are, at least one: threads wait for each other by spinning,
   *   and where pages have to be read, the kernel needs a processor as well. One of two cores generated 24 tokens
   *   in 12 s where two took 14
   */
  readonly threads?: number;
}

/** What node-llama-cpp is asked to load, for a caller that loads it in a way of its own. */
export interface ModelRequest {
  readonly modelPath: string;
  readonly gpuLayers: number;
  readonly useMmap: true;
  readonly ignoreMemorySafetyChecks: true;
}

/**
 * Loads a model as node-llama-cpp does: a mapping that is populated from its beginning.
 *
 * @param load stands in for the engine's own, for what runs beside a load
 */
export async function loadModel(
  {
    path,
    engine: folder,
    gpuLayers = 0,
    threads = Math.max(1, availableParallelism() - 1),
  }: LoadOptions,
  load = (llama: { loadModel(request: object): Promise<LoadedModel> }, request: ModelRequest) =>
    llama.loadModel(request),
): Promise<LoadedModel> {
  const entry = resolve(folder, "node_modules/node-llama-cpp/dist/index.js");
  const engine = (await import(pathToFileURL(entry).href)) as NodeLlamaCpp;
  const llama = await engine.getLlama({
    build: "never",
    skipDownload: true,
    gpu: gpuLayers > 0 ? "vulkan" : false,
    logLevel: engine.LlamaLogLevel.error,
    progressLogs: false,
    maxThreads: threads,
  });
  return load(llama, { modelPath: path, gpuLayers, useMmap: true, ignoreMemorySafetyChecks: true });
}

/**
 * Samples as llama-server does with `ignore_eos` at a temperature of 1: a random model's answers are
 * nearly flat, and always taking the likeliest token would soon repeat itself.
 */
export function generate(
  sequence: Sequence,
  tokens: readonly number[],
  seed: number,
): AsyncIterable<number> {
  return sequence.evaluate(tokens, { temperature: 1, seed, yieldEogToken: true });
}
