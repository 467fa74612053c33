import { existsSync, statSync } from "node:fs";
import type { Bench } from "../bench.ts";
import { runServer, type ServerRun } from "../engine/run-server.ts";
import { CLI } from "../process.ts";
import { type Check, type Column, medianOf, ratio, type Table } from "../result.ts";
import { interleave } from "../rounds.ts";
import { isWarm } from "./is-warm.ts";

const PLAIN = "the server as it is";
const RUN = "prefault run";
const WITH = "withPrefault in the server";
const GPU_LAYERS = ["-ngl", "12"];
const MIB = 1024 ** 2;

/**
 * The cgroup's limit, of the model's bytes. A GPU has its half of the layers in memory of its own: the other half
 * fits, with the process, and the whole file does not. Of a device that is a processor the cgroup has the buffers too.
 */
const LIMIT = existsSync("/dev/nvidiactl") || existsSync("/dev/dri/renderD128") ? 0.75 : 1.2;

const COLUMNS: readonly Column[] = [
  { key: "toFirst", title: "request to first token, s" },
  { key: "toFifth", title: "to the fifth, s" },
  { key: "readMib", title: "read during the request, MiB", digits: 0 },
  { key: "residentMib", title: "of the file resident at the request, MiB", digits: 0 },
  { key: "startToFirst", title: "start to first token, s" },
];

/**
 * The server with half of its layers on a Vulkan device, in a memory cgroup that holds these and the other half of
 * the file, and not the whole file beside them.
 */
export async function halfOnGpu(bench: Bench, path: string): Promise<Table> {
  const { subjects, settings, say } = bench;
  const { engine } = settings;
  const bytes = statSync(path).size;
  const run = [process.execPath, CLI, "run", ...GPU_LAYERS, "--"];
  const ways: { name: string; more: Partial<ServerRun> }[] = [
    { name: PLAIN, more: {} },
    { name: RUN, more: { launcher: run, whenHealthy: isWarm(/were dropped[\s\S]*experts\] /) } },
    {
      name: WITH,
      more: {
        env: { BENCH_WITH_PREFAULT: "{}" },
        whenHealthy: isWarm(/were dropped[\s\S]*\[node-llama-cpp\] /),
      },
    },
  ];
  const once = async (more: Partial<ServerRun>) => {
    const ran = await runServer(subjects, {
      model: path,
      engine,
      args: GPU_LAYERS,
      limitBytes: Math.floor(LIMIT * bytes),
      request: { prompt: "a page", tokens: 5 },
      ...more,
      // llvmpipe is a processor to llama.cpp, which skips those unless they are named.
      env: { ...more.env, GGML_VK_VISIBLE_DEVICES: "0" },
    });
    return {
      toFirst: ran.toFirstToken,
      toFifth: ran.toFifth,
      readMib: ran.readBytes.request / MIB,
      residentMib: ran.residentBytes / MIB,
      startToFirst: ran.startToFirstToken,
    };
  };
  // The first load compiles the device's shaders, which the driver keeps; that time is nobody's.
  await once({}).catch((error: unknown) => say(`  ${error}`));
  const contenders = ways.map(({ name, more }) => ({ name, run: () => once(more) }));
  return {
    id: "server-gpu",
    title: "Half of the layers on a Vulkan device",
    columns: COLUMNS,
    rows: await interleave(contenders, settings.rounds, say),
    moreIsBetter: false,
  };
}

export function gpuChecks({ rows }: Table): Check[] {
  const of = (way: string) =>
    ratio(medianOf(rows, way, "toFirst"), medianOf(rows, PLAIN, "toFirst"));
  return [RUN, WITH].map((way) => ({
    what: `request to first token where what is on the GPU was dropped, ${way}, of the plain server's`,
    value: of(way),
    atMost: 1,
  }));
}
