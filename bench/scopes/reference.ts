import { statSync } from "node:fs";
import type { Bench, Scope } from "../bench.ts";
import type { SweepOutcome, SweepTask } from "../children/sweep.ts";
import { PREFAULT, peerMethods, prefaultMethod, REFERENCE } from "../methods.ts";
import { runChild } from "../process.ts";
import { decodeTokens, writeTokens } from "../readers.ts";
import { type Column, medianOf, ratio, type Table } from "../result.ts";
import { interleave } from "../rounds.ts";
import { compareLlama, NOTHING } from "./llama.ts";

/** `--cpu-moe` with every layer on the GPU: the routed experts stay on the CPU. */
const PLACEMENT = { gpuLayers: -1, cpuMoe: true } as const;

const WORKERS = [1, 2, 4, 8, 16] as const;
const GIB = 1024 ** 3;

/** What the reference swept in a tenth of a second is the aim for as many bytes. */
const MOST_SECONDS = 0.1;

/** A cached sweep takes less than a tenth of a second, and the program in C one or another of two times. */
const CACHED_ROUNDS = 4;

const SWEEP: readonly Column[] = [
  { key: "sweepSeconds", title: "the sweep, s", digits: 3 },
  { key: "gibPerSecond", title: "GiB/s", digits: 1 },
  { key: "bytes", title: "GiB swept" },
  { key: "callSeconds", title: "the whole call, s", digits: 3 },
];

const COLD = SWEEP.slice(1).toReversed();

const DECODE: readonly Column[] = [
  { key: "firstMs", title: "first token, ms", digits: 1 },
  { key: "steadyMs", title: "steady token, ms", digits: 1 },
];

export const reference: Scope = {
  name: "reference",
  compares:
    "The table of SharpInference's issue 221 (16.39 GiB of routed experts: cached 0.3 s, 50.5 GiB/s; 14.66 GiB " +
    "cold: 29.4 s; decode 25.1 against 21.0 tokens a second): a mixture of experts with `--cpu-moe`, swept when " +
    "it is cached, with 1 to 16 workers, and cold; beside a C program that gives the hint and touches " +
    "every page with as many threads as the machine has processors, and at least four. Then a decode-like " +
    "reader with and without, and llama.cpp with half the layers on a Vulkan device.",
  wrongWhen: [
    "the model is not wholly resident before a cached sweep (it is filled first, and counted)",
    "the model is not cold before a cold one (checked: residency must read 0)",
    "the times are taken for the same: that of the C program is from its start to its end, that of a sweep is " +
      "what the report says, as the reference's is; the whole call also plans, counts what is resident " +
      "twice and starts threads",
  ],
  async run(bench) {
    const model = await bench.subjects.model(bench.settings.bytes);
    const cached = await sweepCached(bench, model);
    const cold = await sweepCold(bench, model);
    const decode = await compareDecode(bench, model);
    const half = await compareLlama(bench, model, 12);
    const seconds = Math.min(
      ...WORKERS.map((count) => medianOf(cached.rows, name(count), "sweepSeconds") ?? Number.NaN),
    );
    const inC = medianOf(cached.rows, REFERENCE, "sweepSeconds");
    const sweptGib = medianOf(cached.rows, name(8), "bytes") ?? Number.NaN;
    return {
      tables: [cached, cold, decode, half],
      checks: [
        {
          what: "cached sweep, GiB/s of those of the program in C",
          value: ratio(inC, seconds),
          atLeast: 0.8,
        },
        {
          what: "cached sweep of the reference's 16.39 GiB, s (scaled to as many bytes)",
          value: (seconds * 16.39) / sweptGib,
          atMost: MOST_SECONDS,
        },
      ],
    };
  },
};

function name(workers: number): string {
  return `prefault, ${workers} worker${workers === 1 ? "" : "s"}`;
}

async function sweepCached(bench: Bench, path: string): Promise<Table> {
  const { subjects, settings, say } = bench;
  const inC = (await peerMethods(bench)).find((method) => method.name === REFERENCE);
  const fill = async () => {
    if ((await subjects.residentPercent(path)) < 100) await sweep({ path });
  };
  await subjects.cool(path);
  const rows = await interleave(
    [
      ...WORKERS.map((workers) => ({
        name: name(workers),
        async run() {
          await fill();
          return sweep({ path, placement: PLACEMENT, options: { workers } });
        },
      })),
      {
        name: REFERENCE,
        skipped: inC?.skipped,
        async run() {
          await fill();
          const { gibPerSecond: rate = Number.NaN } = (await inC?.fill(path)) ?? {};
          const bytes = statSync(path).size / GIB;
          return { gibPerSecond: rate, sweepSeconds: bytes / rate, bytes };
        },
      },
    ],
    CACHED_ROUNDS * settings.rounds,
    say,
  );
  return { id: "reference-cached", title: "Cached", columns: SWEEP, rows, moreIsBetter: false };
}

async function sweep(task: SweepTask) {
  const { result } = await runChild<SweepOutcome>("sweep", task);
  const [report] = result.reports;
  const [callSeconds = Number.NaN] = result.callSeconds;
  const bytes = report?.bytes ?? Number.NaN;
  return {
    sweepSeconds: report?.seconds ?? Number.NaN,
    gibPerSecond: report?.gibPerSecond ?? Number.NaN,
    bytes: bytes / GIB,
    callSeconds,
  };
}

/** A cold run takes a quarter of a minute there: the program in C, and what everybody has. */
const BESIDE_COLD: ReadonlySet<string> = new Set([REFERENCE, "cat > /dev/null"]);

async function sweepCold(bench: Bench, path: string): Promise<Table> {
  const peers = (await peerMethods(bench)).filter(({ name: peer }) => BESIDE_COLD.has(peer));
  const rows = await interleave(
    [prefaultMethod(PREFAULT), ...peers].map(({ name: method, skipped, fill }) => ({
      name: method,
      skipped,
      async run() {
        await bench.subjects.cool(path);
        const { gibPerSecond: rate = Number.NaN } = await fill(path);
        const bytes = statSync(path).size / GIB;
        return { callSeconds: bytes / rate, gibPerSecond: rate, bytes };
      },
    })),
    bench.settings.rounds,
    bench.say,
  );
  return { id: "reference-cold", title: "Cold", columns: COLD, rows, moreIsBetter: false };
}

async function compareDecode(bench: Bench, path: string): Promise<Table> {
  const list = await writeTokens(bench, path);
  const ways = [
    { name: NOTHING, fill: async () => {} },
    { name: PREFAULT, fill: async () => void (await sweep({ path, placement: PLACEMENT })) },
  ];
  const rows = await interleave(
    ways.map((way) => ({
      name: way.name,
      skipped: bench.tools.missing,
      async run() {
        await bench.subjects.cool(path);
        await way.fill();
        return decodeTokens(bench, path, list);
      },
    })),
    bench.settings.rounds,
    bench.say,
  );
  const title = "A decode-like reader";
  return { id: "reference-decode", title, columns: DECODE, rows, moreIsBetter: false };
}
