/**
 * Loads a model into llama.cpp through node-llama-cpp and generates one token, with a prefault
 * before the load, beside it by hand or by the integration, or not at all.
 */
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { openModel, planPass, prefault, type Target } from "prefault";
import { withPrefault } from "prefault/node-llama-cpp";

export interface LlamaTask {
  readonly path: string;
  /** The folder whose `node_modules` holds node-llama-cpp. */
  readonly engine: string;
  readonly gpuLayers: number;
  readonly prefault: "before" | "beside" | "integration" | "never";
}

/** Seconds. */
export interface LlamaOutcome {
  readonly prefault: number;
  readonly load: number;
  /** From the loaded model to its first token, the context made in between. */
  readonly firstToken: number;
  /** From the start of the prefault or the load, whichever came first, to the first token. */
  readonly total: number;
}

/** The part of node-llama-cpp used here; it is no dependency, so its types are not at hand. */
interface Engine {
  getLlama(options: object): Promise<{ loadModel(options: object): Promise<LoadedModel> }>;
  LlamaLogLevel: { error: string };
}
interface LoadedModel {
  readonly tokens: { readonly bos: number | null };
  createContext(options: object): Promise<{ getSequence(): Sequence }>;
}
interface Sequence {
  evaluate(tokens: number[], options: object): AsyncIterable<number>;
}

const task = JSON.parse(process.argv[2] ?? "{}") as LlamaTask;
const { path, gpuLayers } = task;
const entry = resolve(task.engine, "node_modules/node-llama-cpp/dist/index.js");
const engine = (await import(pathToFileURL(entry).href)) as Engine;
const llama = await engine.getLlama({
  build: "never",
  skipDownload: true,
  gpu: gpuLayers > 0 ? "vulkan" : false,
  logLevel: engine.LlamaLogLevel.error,
  progressLogs: false,
  // Its default is at least four. Threads wait for one another by spinning: with more threads than
  // processors a token takes seconds.
  maxThreads: availableParallelism(),
});

const seconds = () => performance.now() / 1000;
const started = seconds();
let prefaulted = started;
let sweep: Promise<void> | undefined;
if (task.prefault === "before" || task.prefault === "beside") {
  sweep = target().then(async (what) => {
    await prefault(what, { gate: "always", onError: "throw", log() {} });
    prefaulted = seconds();
  });
}
if (task.prefault === "before") await sweep;
const loading = seconds();
const options = { modelPath: path, gpuLayers, useMmap: true, ignoreMemorySafetyChecks: true };
const model =
  task.prefault === "integration"
    ? await withPrefault(options, (o) => llama.loadModel(o), { gate: "always", log() {} })
    : await llama.loadModel(options);
const loaded = seconds();
const context = await model.createContext({ contextSize: 64, ignoreMemorySafetyChecks: true });
// One token in, one out: a longer prompt would read more experts before it answers.
const prompt = [model.tokens.bos ?? 1];
for await (const _ of context.getSequence().evaluate(prompt, { temperature: 0 })) break;
const answered = seconds();
await sweep;

const outcome: LlamaOutcome = {
  prefault: prefaulted - started,
  load: loaded - loading,
  firstToken: answered - loaded,
  total: answered - started,
};
process.stdout.write(`${JSON.stringify(outcome)}\n`);
// The process ends without unloading the model, which is not measured.
process.exit(0);

/** What stays on the CPU: all of it, or what llama.cpp's placement leaves there. */
async function target(): Promise<Target> {
  if (gpuLayers === 0) return path;
  return planPass(await openModel(path), { gpuLayers });
}
