/**
 * Loads a mixture of experts into llama.cpp, generates, and sees from the process's page table which
 * experts each token used. Run it as `node build/bench/engine/measure-routing.mjs TASK`, the task as
 * JSON; it prints every selection as JSON.
 *
 * The file is evicted and read again first: since Linux 6.18 a fault maps a large folio as a whole, with
 * the experts beside the one that was touched, so it must be in the cache in small ones. It has to fit
 * in memory: what the engine reads itself can lie in large folios again.
 */
import { statSync } from "node:fs";
import { evict, findMappings, openModel } from "prefault";
import { readExactly } from "./exact-read.ts";
import { expertSlices } from "./expert-slices.ts";
import { generate, loadModel } from "./node-llama-cpp.ts";
import { PageTables } from "./page-tables.ts";
import type { Selection } from "./routing.ts";

export interface RoutingTask {
  /** Of one file. */
  readonly path: string;
  /** The folder whose `node_modules` holds node-llama-cpp. */
  readonly engine: string;
  readonly prompts: readonly string[];
  /** Tokens generated after each prompt. */
  readonly tokens: number;
}

export interface RoutingOutcome {
  readonly experts: number;
  /** For each prompt, the selections of its generated tokens. */
  readonly runs: readonly (readonly Selection[])[];
}

const task = JSON.parse(process.argv[2] ?? "{}") as RoutingTask;
const model = await openModel(task.path);
const { layers } = expertSlices(model);
const used = Number(model.metadata[`${model.metadata["general.architecture"]}.expert_used_count`]);
await evict(task.path);
await readExactly(task.path, [{ offset: 0, byteLength: statSync(task.path).size }]);
// One thread: what waits for the other by spinning takes long where others work on the machine.
const engine = await loadModel({ ...task, threads: 1 });
const context = await engine.createContext({ contextSize: 512, ignoreMemorySafetyChecks: true });
const sequence = context.getSequence();
const tables = new PageTables(await findMappings(task.path));

const runs: Selection[][] = [];
for (const [seed, prompt] of task.prompts.entries()) {
  await sequence.clearHistory();
  const run: Selection[] = [];
  // The prompt is evaluated before the first token comes; after it, one token for each that comes.
  let isPrompt = true;
  for await (const _ of generate(sequence, engine.tokenize(prompt), seed + 1)) {
    if (!isPrompt) run.push(selection());
    isPrompt = false;
    if (run.length === task.tokens) break;
    tables.drop();
  }
  runs.push(run);
}
const outcome: RoutingOutcome = { experts: layers[0]?.experts.length ?? 0, runs };
process.stdout.write(`${JSON.stringify(outcome)}\n`);
process.exit(0);

/** @throws Error when a layer used another number of experts: then the page table does not tell */
function selection(): Selection {
  return layers.map(({ layer, experts }) => {
    const touched = experts.flatMap((slices, expert) =>
      slices.every(({ offset, byteLength }) => tables.isTouched(offset, byteLength))
        ? [expert]
        : [],
    );
    if (touched.length === used) return touched;
    throw new Error(`layer ${layer} touched ${touched.length} experts where a token uses ${used}`);
  });
}
