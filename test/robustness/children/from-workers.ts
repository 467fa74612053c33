/** Sweeps from worker threads, some of which are ended in the middle of it. */

import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { descriptorsOf } from "../../helpers/open-descriptors.ts";

interface Argument {
  readonly path: string;
  readonly rounds: number;
}

const { path, rounds } = JSON.parse(process.argv[2] ?? "") as Argument;

/**
 * A script, which a thread made of text has to be.
 *
 * It loads koffi first: a thread that is ended while koffi's addon is loaded takes the process with it ("FATAL
 * ERROR: Error::ThrowAsJavaScriptException napi_throw"), whoever loads it.
 */
const SOURCE = `
  const { parentPort, workerData } = require("node:worker_threads");
  import("koffi").then(async () => {
    parentPort.postMessage("loaded");
    const { prefault } = await import("prefault");
    const { error, ran } = await prefault([{ path: workerData }], { log() {}, gate: "always" });
    parentPort.postMessage(error?.code ?? (ran ? "done" : "skipped"));
  });
`;

function traces() {
  return {
    threads: readdirSync("/proc/self/task").length,
    // Of the swept file: a thread that is ended while it loads a module leaves that one open.
    descriptors: descriptorsOf(path),
    mappings: readFileSync("/proc/self/maps", "utf8").split(path).length - 1,
  };
}

async function sweep(ends: boolean): Promise<string> {
  const worker = new Worker(SOURCE, { eval: true, workerData: path });
  let said = "ended";
  const exited = once(worker, "exit");
  worker.on("message", (outcome: string) => {
    if (outcome !== "loaded") said = outcome;
    else if (ends) setTimeout(() => worker.terminate(), Math.random() * 100);
  });
  await exited;
  return said;
}

const outcomes: Record<string, number> = {};
await sweep(false);
const before = traces();
for (let round = 0; round < rounds; round++) {
  for (const outcome of await Promise.all([sweep(false), sweep(round % 2 === 0)])) {
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  }
}
let after = traces();
for (let tries = 0; tries < 100 && after.threads > before.threads; tries++) {
  await sleep(50);
  after = traces();
}
console.log(JSON.stringify({ before, after, outcomes }));
