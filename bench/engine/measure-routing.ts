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

export interface Run {
  /** Index of its prompt. */
  readonly prompt: number;
  readonly selections: Selection[];
}

export interface RoutingOutcome {
  readonly experts: number;
  /** Selections of consecutive tokens: for each prompt a run or, where a token is missing, several. */
  readonly runs: readonly Run[];
  /** Tokens whose experts the page table did not show. */
  readonly unread: number;
}

const task = JSON.parse(process.argv[2] ?? "{}") as RoutingTask;
const model = await openModel(task.path);
const { layers } = expertSlices(model);
const used = Number(model.metadata[`${model.metadata["general.architecture"]}.expert_used_count`]);
await evict(task.path);
await readExactly(task.path, [{ offset: 0, byteLength: statSync(task.path).size }]);
// One thread: threads that wait for each other by spinning are slow while other programs run.
const engine = await loadModel({ ...task, threads: 1 });
const context = await engine.createContext({ contextSize: 512, ignoreMemorySafetyChecks: true });
const sequence = context.getSequence();
const tables = new PageTables(await findMappings(task.path));

/** The share of tokens whose experts may be unknown; with more the measurement fails. */
const MOST_UNREAD = 0.2;

const runs: Run[] = [];
let unread = 0;
for (const [prompt, text] of task.prompts.entries()) {
  await sequence.clearHistory();
  let run: Run = { prompt, selections: [] };
  runs.push(run);
  let tokens = 0;
  for await (const _ of generate(sequence, engine.tokenize(text), prompt + 1)) {
    // The prompt is evaluated before the first token comes; after it, one token for each that comes.
    const seen = tokens === 0 ? undefined : selection();
    if (seen !== undefined) run.selections.push(seen);
    else if (tokens > 0) {
      unread++;
      // The next token does not follow the last one that was read.
      run = { prompt, selections: [] };
      runs.push(run);
    }
    if (++tokens > task.tokens) break;
    tables.drop();
  }
}
if (unread > MOST_UNREAD * task.tokens * task.prompts.length) {
  throw new Error(`the page table did not show the experts of ${unread} tokens`);
}
const outcome: RoutingOutcome = { experts: layers[0]?.experts.length ?? 0, runs, unread };
// A pipe takes 64 KiB at a time: what is not written yet is lost when the process ends.
process.stdout.write(`${JSON.stringify(outcome)}\n`, () => process.exit(0));

/**
 * @returns nothing when a layer touched another number of experts than a token uses: the kernel took
 *   pages away meanwhile, or mapped them in a large folio
 */
function selection(): Selection | undefined {
  const selected = layers.map(({ experts }) =>
    experts.flatMap((slices, expert) =>
      slices.every(({ offset, byteLength }) => tables.isTouched(offset, byteLength))
        ? [expert]
        : [],
    ),
  );
  return selected.every((touched) => touched.length === used) ? selected : undefined;
}
