import type { Bench, Scope } from "../bench.ts";
import { CEILING, fioMethod, type Method, PREFAULT, prefaultMethod } from "../methods.ts";
import { nextMapping } from "../readers.ts";
import { type Column, medianOf } from "../result.ts";
import { interleave } from "../rounds.ts";

const COLUMNS: readonly Column[] = [
  { key: "gibPerSecond", title: "call, GiB/s" },
  { key: "workersGibPerSecond", title: "workers alone, GiB/s" },
  { key: "residentPercent", title: "resident, %", digits: 1 },
  { key: "minorFaults", title: "minor faults", digits: 0 },
  { key: "majorFaults", title: "major faults", digits: 0 },
  { key: "largeFolios", title: "large folios", digits: 0 },
  { key: "nextGibPerSecond", title: "next mapping, GiB/s", digits: 1 },
  { key: "nextFaults", title: "its minor faults", digits: 0 },
];

const COST: readonly Column[] = [
  { key: "anonymousMiB", title: "anonymous memory, MiB more", digits: 1 },
  { key: "loopP99Ms", title: "event loop, p99 ms" },
  { key: "loopMaxMs", title: "longest ms" },
  { key: "gibPerSecond", title: "call, GiB/s" },
];

export const cold: Scope = {
  name: "cold",
  compares:
    "The strategies of prefault on a cold file, each in a fresh process; and what a sweep of twice " +
    "the bytes costs the process it runs in: anonymous memory (most of RssAnon over what there was " +
    "before the call) and the delay of its event loop.",
  wrongWhen: [
    "the file is not cold (checked: residency must read 0)",
    "the event loop waits for a processor that other programs hold, not for prefault",
    "all of the delay is taken to be prefault's: the 1 ms timer of an idle loop shows 1.1 ms already",
  ],
  async run(bench) {
    const { subjects, settings } = bench;
    const path = await subjects.file(settings.bytes);
    const methods = [
      prefaultMethod(PREFAULT),
      prefaultMethod("populate", { strategy: "populate" }),
      prefaultMethod("touch", { strategy: "touch" }),
      prefaultMethod("read", { strategy: "read" }),
      await fioMethod(),
    ];
    const rows = await interleave(
      methods.map((method) => contender(bench, method, path)),
      settings.rounds,
      bench.say,
    );
    bench.say(" memory and event loop");
    const large = await subjects.file(2 * settings.bytes);
    const cost = await interleave(
      [contender(bench, prefaultMethod("prefault, twice the bytes"), large)],
      Math.min(settings.rounds, 3),
      bench.say,
    );
    const costOf = (key: string) => medianOf(cost, "prefault, twice the bytes", key);
    return {
      tables: [
        { id: "cold", title: "Cold", columns: COLUMNS, rows, moreIsBetter: true },
        {
          id: "cost",
          title: "What it costs the process",
          columns: COST,
          rows: cost,
          moreIsBetter: false,
        },
      ],
      checks: [
        { what: "anonymous memory of a sweep, MiB", value: costOf("anonymousMiB"), atMost: 48 },
        { what: "event loop during a sweep, p99 ms", value: costOf("loopP99Ms"), atMost: 10 },
      ],
    };
  },
};

function contender(bench: Bench, { name, skipped, fill }: Method, path: string) {
  return {
    name,
    skipped,
    async run() {
      await bench.subjects.cool(path);
      const filled = await fill(path);
      if (name === CEILING) return filled;
      const residentPercent = await bench.subjects.residentPercent(path);
      return { ...filled, residentPercent, ...(await nextMapping(bench, path)) };
    },
  };
}
