import { existsSync } from "node:fs";
import type { Bench } from "../bench.ts";
import type { LlamaOutcome, LlamaTask } from "../children/llama.ts";
import { peerMethods, REFERENCE } from "../methods.ts";
import { runChild } from "../process.ts";
import type { Column, Sample, Table } from "../result.ts";
import { interleave } from "../rounds.ts";

export const NOTHING = "nothing";
export const BEFORE = "prefault before the load";
export const BESIDE = "prefault beside the load";

const COLUMNS: readonly Column[] = [
  { key: "total", title: "to the first token, s" },
  { key: "fill", title: "fill before, s" },
  { key: "load", title: "load, s", digits: 3 },
  { key: "firstToken", title: "loaded → first token, s", digits: 3 },
];

/**
 * Loads the model cold with some of its layers on a GPU, after each way of filling.
 *
 * @param disk where the model lies, when that is not the device as it is
 */
export async function compareLlama(
  bench: Bench,
  path: string,
  gpuLayers: number,
  disk?: { readonly id: string; readonly title: string },
): Promise<Table> {
  const { subjects, settings, say } = bench;
  const { engine } = settings;
  say(` llama.cpp, ${gpuLayers} layers on the GPU`);
  const missing = existsSync(`${engine}/node_modules/node-llama-cpp`)
    ? undefined
    : `node-llama-cpp is not in ${engine} (scripts/install-engine.ts puts it there)`;
  const load = async (prefault: LlamaTask["prefault"]): Promise<LlamaOutcome> => {
    const task: LlamaTask = { path, engine, gpuLayers, prefault };
    // llvmpipe is a processor to llama.cpp, which skips those unless they are named.
    const env = gpuLayers > 0 ? { GGML_VK_VISIBLE_DEVICES: "0" } : {};
    return (await runChild<LlamaOutcome>("llama", task, { env })).result;
  };
  const ours = (name: string, prefault: LlamaTask["prefault"]) => ({
    name,
    skipped: missing,
    async run(): Promise<Sample> {
      await subjects.cool(path);
      const { prefault: seconds, ...rest } = await load(prefault);
      return { ...rest, fill: prefault === "before" ? seconds : 0 };
    },
  });
  const reference = (await peerMethods(bench)).find(({ name }) => name === REFERENCE);
  // The first load of a GPU compiles its shaders, which the driver keeps; that time is no contender's.
  if (missing === undefined && gpuLayers > 0) await load("never").catch(() => undefined);
  const rows = await interleave(
    [
      ours(NOTHING, "never"),
      {
        name: REFERENCE,
        skipped: missing ?? reference?.skipped,
        async run() {
          await subjects.cool(path);
          const started = performance.now();
          await reference?.fill(path);
          const fill = (performance.now() - started) / 1000;
          const { load: loadSeconds, firstToken, total } = await load("never");
          return { fill, load: loadSeconds, firstToken, total: total + fill };
        },
      },
      ours(BEFORE, "before"),
      ours(BESIDE, "beside"),
    ],
    settings.rounds,
    say,
  );
  const title = gpuLayers === 0 ? "on the CPU" : `with ${gpuLayers} layers on a Vulkan device`;
  return {
    id: ["llama", gpuLayers, disk?.id].filter((part) => part !== undefined).join("-"),
    title: [`llama.cpp ${title}`, disk?.title].filter(Boolean).join(", from "),
    columns: COLUMNS,
    rows,
    moreIsBetter: false,
  };
}
