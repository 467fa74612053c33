import { existsSync } from "node:fs";
import type { Bench, Scope } from "../bench.ts";
import type { LlamaOutcome, LlamaTask } from "../children/llama.ts";
import { runChild } from "../process.ts";
import { type Column, medianOf, ratio, type Table } from "../result.ts";
import { interleave } from "../rounds.ts";

const PLAIN = "loadModel";
const WITH = "withPrefault(loadModel)";

const COLUMNS: readonly Column[] = [
  { key: "total", title: "to the first token, s" },
  { key: "load", title: "load, s", digits: 3 },
  { key: "firstToken", title: "loaded → first token, s", digits: 3 },
];

/** Of a load on the CPU, which takes a second where the disk is fast: two of the same then differ by a tenth. */
const SHORT_ROUNDS = 3;

/** No more than without, but for the 2 % by which two runs of the same differ. */
const NO_MORE = 1.02;

export const beside: Scope = {
  name: "beside",
  compares:
    "What `prefault/node-llama-cpp` gains: a cold model loaded with node-llama-cpp up to its first " +
    "token, in a fresh process, with a prefault beside the load and without; on the CPU alone, and " +
    "with half the layers on a Vulkan device.",
  wrongWhen: [
    "the model is not cold (checked: residency must read 0)",
    "the Vulkan device is a processor: then its share of the token, and its shaders, cost far more " +
      "than the load, and hide what the load gains",
  ],
  async run(bench) {
    const model = await bench.subjects.model(bench.settings.bytes);
    const tables = [await compare(bench, model, 0), await compare(bench, model, 12)];
    return {
      tables,
      checks: tables.map(({ title, rows }) => ({
        what: `time to first token of the plain load's, ${title}`,
        value: ratio(medianOf(rows, WITH, "total"), medianOf(rows, PLAIN, "total")),
        atMost: NO_MORE,
      })),
    };
  },
};

async function compare(bench: Bench, path: string, gpuLayers: number): Promise<Table> {
  const { subjects, settings, say } = bench;
  const { engine } = settings;
  const skipped = existsSync(`${engine}/node_modules/node-llama-cpp`)
    ? undefined
    : `node-llama-cpp is not in ${engine} (scripts/install-engine.ts puts it there)`;
  const load = async (prefault: LlamaTask["prefault"]) => {
    const task: LlamaTask = { path, engine, gpuLayers, prefault };
    // llvmpipe is a processor to llama.cpp, which skips those unless they are named.
    const env = gpuLayers > 0 ? { GGML_VK_VISIBLE_DEVICES: "0" } : {};
    const {
      total,
      load: seconds,
      firstToken,
    } = (await runChild<LlamaOutcome>("llama", task, { env })).result;
    return { total, load: seconds, firstToken };
  };
  const contender = (name: string, prefault: LlamaTask["prefault"]) => ({
    name,
    skipped,
    async run() {
      await subjects.cool(path);
      return load(prefault);
    },
  });
  // The first load of a GPU compiles its shaders, which the driver keeps; that time is no contender's.
  if (skipped === undefined && gpuLayers > 0) await load("never").catch(() => undefined);
  const title = gpuLayers === 0 ? "on the CPU" : `with ${gpuLayers} layers on a Vulkan device`;
  say(` ${title}`);
  const rows = await interleave(
    [contender(PLAIN, "never"), contender(WITH, "integration")],
    gpuLayers === 0 ? SHORT_ROUNDS * settings.rounds : settings.rounds,
    say,
  );
  return { id: `beside-${gpuLayers}`, title, columns: COLUMNS, rows, moreIsBetter: false };
}
