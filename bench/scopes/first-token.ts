import type { Bench, Scope } from "../bench.ts";
import type { Method } from "../methods.ts";
import { PREFAULT, peerMethods, prefaultMethod, REFERENCE } from "../methods.ts";
import { decodeTokens, writeTokens } from "../readers.ts";
import { type Check, type Column, medianOf, ratio, type Table } from "../result.ts";
import { interleave } from "../rounds.ts";
import { onUntunedDisk, UNTUNED } from "../untuned.ts";
import { BEFORE, BESIDE, compareLlama, NOTHING } from "./llama.ts";

const COLUMNS: readonly Column[] = [
  { key: "firstMs", title: "first token, ms", digits: 1 },
  { key: "steadyMs", title: "steady token, ms", digits: 1 },
  { key: "firstOverSteady", title: "first / steady" },
  { key: "minorFaults", title: "minor faults", digits: 0 },
  { key: "majorFaults", title: "major faults", digits: 0 },
];

export const firstToken: Scope = {
  name: "first-token",
  compares:
    "What the engine's first token costs after each way of filling. A decode-like reader in a fresh " +
    "process (24 layers, 8 of 128 seeded experts a layer, every byte of what is chosen, one thread): " +
    "its first token, and the median token when the same ones are read again. Then llama.cpp itself " +
    "on the same model: prefault before the load, beside it, not at all, and the reference's method " +
    "before it; on the CPU alone, also from a disk that reads ahead 128 KiB, and with half the " +
    "layers on a Vulkan device.",
  wrongWhen: [
    "the model is not cold before a fill (checked: residency must read 0)",
    "the engine copies its weights out of the mapping (none of this model's types is repacked)",
    "the processor's cache holds all that a token reads: then steady is the cache's speed, and " +
      "first over steady looks worse than it is for every method",
  ],
  async run(bench) {
    const model = await bench.subjects.model(bench.settings.bytes);
    const rows = await compareReaders(bench, model);
    const reader: Table = {
      id: "decode",
      title: "A decode-like reader in a fresh process",
      columns: COLUMNS,
      rows,
      moreIsBetter: false,
    };
    const cpu = await compareLlama(bench, model, 0);
    const half = await compareLlama(bench, model, 12);
    const untuned = await onUntunedDisk(bench, async (own) => {
      const path = await own.subjects.model(own.settings.bytes);
      return compareLlama(own, path, 0, { id: "untuned", title: UNTUNED });
    });
    const seconds = (key: string, name: string) => medianOf(cpu.rows, name, key);
    const besideOf = ({ title, rows }: Table): Check => ({
      what: `time to first token, prefault beside the load, of no prefault: ${title}`,
      value: ratio(medianOf(rows, BESIDE, "total"), medianOf(rows, NOTHING, "total")),
      atMost: 0.9,
    });
    const loads = [cpu, half, untuned].filter((table) => table !== null);
    return {
      tables: [reader, ...loads],
      checks: [
        {
          what: "decode-like reader after prefault, first over steady token",
          value: medianOf(rows, PREFAULT, "firstOverSteady"),
          atMost: 1.2,
        },
        {
          what: "llama.cpp's load after prefault, of that after the reference's method",
          value: ratio(seconds("load", BEFORE), seconds("load", REFERENCE)),
          atMost: 0.4,
        },
        ...loads.map(besideOf),
      ],
    };
  },
};

async function compareReaders(bench: Bench, model: string) {
  const list = await writeTokens(bench, model);
  const nothing: Method = { name: NOTHING, fillsCache: false, fill: async () => ({}) };
  const methods = [nothing, prefaultMethod(PREFAULT), ...(await peerMethods(bench))];
  return interleave(
    methods.map(({ name, skipped, fill }) => ({
      name,
      skipped: skipped ?? bench.tools.missing,
      async run() {
        await bench.subjects.cool(model);
        await fill(model);
        return decodeTokens(bench, model, list);
      },
    })),
    bench.settings.rounds,
    bench.say,
  );
}
