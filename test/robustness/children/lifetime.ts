/** Sweeps and aborts again and again, and looks at what is left of it in this process. */
import { getEventListeners } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { prefault } from "prefault";
import { Random } from "../random.ts";

interface Argument {
  readonly paths: readonly string[];
  readonly rounds: number;
  readonly seed: number;
}

/** What a process can leave behind. */
export interface Traces {
  readonly threads: number;
  readonly descriptors: number;
  /** Of the swept files. */
  readonly mappings: number;
  /** Of the process and of the signals. */
  readonly listeners: number;
  readonly temporaryFiles: number;
  readonly heapBytes: number;
  readonly rssBytes: number;
  /** Of addresses: a WebAssembly memory takes 4 GiB of them and more. */
  readonly virtualBytes: number;
}

export interface Lifetime {
  readonly before: Traces;
  /** After a tenth of the rounds, and after all. */
  readonly early: Traces;
  readonly late: Traces;
  readonly outcomes: Readonly<Record<string, number>>;
}

const AT_A_TIME = 8;

const { paths, rounds, seed } = JSON.parse(process.argv[2] ?? "") as Argument;
const random = new Random(seed);
const outcomes: Record<string, number> = {};
let listeners = 0;

async function round(): Promise<void> {
  const controller = new AbortController();
  const target = random.chance(0.3) ? paths : [random.pick(paths)];
  const pending = prefault(
    target.map((path) => ({ path })),
    {
      log() {},
      gate: "always",
      signal: controller.signal,
      strategy: random.pick(["auto", "populate", "touch", "read"]),
      workers: 1 + random.below(4),
      chunkBytes: random.pick([65_536, 2 ** 20, 2 ** 25]),
      ...(random.chance(0.2) && { onProgress() {} }),
    },
  );
  const delay = random.below(30);
  // Some are let go to their end, however slow the machine is.
  if (random.chance(0.03)) await pending;
  else if (delay > 0) await sleep(delay);
  controller.abort();
  const outcome = (await pending).error?.code ?? "done";
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  listeners += getEventListeners(controller.signal, "abort").length;
}

async function run(count: number): Promise<void> {
  let left = count;
  const slot = async () => {
    for (; left > 0; ) {
      left -= 1;
      await round();
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, slot));
}

function look(): Traces {
  globalThis.gc?.();
  const processListeners = process
    .eventNames()
    .reduce((sum, name) => sum + process.listenerCount(name), 0);
  const temporary = readdirSync(tmpdir()).filter((name) => name.startsWith("prefault"));
  return {
    threads: readdirSync("/proc/self/task").length,
    descriptors: readdirSync("/proc/self/fd").length,
    mappings: readFileSync("/proc/self/maps", "utf8")
      .split("\n")
      .filter((line) => paths.some((path) => line.endsWith(path))).length,
    listeners: listeners + processListeners,
    temporaryFiles: temporary.length,
    heapBytes: process.memoryUsage().heapUsed,
    rssBytes: process.memoryUsage.rss(),
    virtualBytes:
      Number(/^VmSize:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024,
  };
}

/** What is on its way out may take a moment. */
async function settled(like?: Traces): Promise<Traces> {
  for (const deadline = Date.now() + 10_000; ; await sleep(50)) {
    const traces = look();
    const same =
      like === undefined ||
      (traces.threads <= like.threads && traces.descriptors <= like.descriptors);
    if (same || Date.now() > deadline) return traces;
  }
}

await prefault([{ path: paths[0] ?? "" }], { log() {} });
const before = await settled();
await run(rounds / 10);
const early = await settled(before);
await run((rounds * 9) / 10);
const late = await settled(before);
console.log(JSON.stringify({ before, early, late, outcomes } satisfies Lifetime));
