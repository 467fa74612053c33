import type { Bench, Scope } from "../bench.ts";
import { capReads } from "../cap.ts";
import {
  allMethods,
  CEILING,
  LLAMA,
  type Method,
  PREFAULT,
  REFERENCE,
  VMTOUCH,
} from "../methods.ts";
import type { RunOptions } from "../process.ts";
import { nextMapping } from "../readers.ts";
import { type Check, type Column, medianOf, type Row, ratio, type Table } from "../result.ts";
import { interleave } from "../rounds.ts";
import { onUntunedDisk, UNTUNED } from "../untuned.ts";

const COLUMNS: readonly Column[] = [
  { key: "gibPerSecond", title: "fill, GiB/s" },
  { key: "workersGibPerSecond", title: "its workers alone" },
  { key: "ofCeiling", title: "of fio's in the same round" },
  { key: "residentPercent", title: "resident, %", digits: 1 },
  { key: "nextGibPerSecond", title: "next mapping, GiB/s", digits: 1 },
  { key: "nextFaults", title: "its minor faults", digits: 0 },
  { key: "bothGibPerSecond", title: "fill and next mapping" },
];

/** Four seconds at 500 MiB/s: a start of 0.1 s then counts for 2.5 %. */
const CAPPED_BYTES = 2 * 1024 ** 3;

export const peers: Scope = {
  name: "peers",
  compares:
    "Ways to make a cold file resident, each in a process of its own, on the device as it is, on a " +
    "disk made of a file of it that reads ahead 128 KiB, as a disk does that nobody tuned, and on the " +
    "device behind a blkio cgroup; in a guest, also into memory that its hypervisor has yet to give. " +
    "After each, a fresh process maps the file and touches every page in one thread. Times are from the start of the program to its end; for " +
    "prefault, of the library call, with its threads started and stopped.",
  wrongWhen: [
    "the file is not cold before a fill (checked: residency must read 0, else the run does not count)",
    "a host cache below the device answers (the order of the peers rotates, so it serves them all)",
    "someone else reads the device (the spread shows it; the capped device is the steady one)",
    "the hypervisor has not given the memory that is filled (before each run more is taken, written to " +
      "and given back than the file has, except where the table says otherwise)",
    "the kernel evicts between fill and next mapping (resident % is taken in between)",
  ],
  async run(bench) {
    const path = await bench.subjects.file(bench.settings.bytes);
    const methods = await allMethods(bench);
    bench.say(" the device as it is");
    const open = await compare(bench, path, methods, {});
    const table: Table = { ...shape, id: "peers", title: "The device as it is", rows: open };

    const fresh = await runFresh(bench, path, methods);
    const untuned = await runUntuned(bench, methods);
    const capped = await runCapped(bench, methods);
    return {
      tables: [table, fresh, untuned, capped].filter((each) => each !== null),
      checks: [
        ...against(open, "the device as it is"),
        ...(fresh === null ? [] : against(fresh.rows, "memory yet to be given")),
        ...(untuned === null ? [] : against(untuned.rows, "128 KiB read ahead")),
        {
          what: "cold fill on the capped device, of the cap",
          value: capped && ratio(at(capped.rows, PREFAULT), bench.settings.capBytes / 1024 ** 3),
          atLeast: 0.97,
        },
      ],
    };
  },
};

/** What is to be reached on one device. */
function against(rows: readonly Row[], device: string): Check[] {
  const best = (key: string) =>
    Math.max(...throughCache(rows).map((name) => medianOf(rows, name, key) ?? 0));
  const ours = (key: string) => medianOf(rows, PREFAULT, key);
  return [
    {
      what: `cold fill, of the fastest peer through the page cache (${device})`,
      value: ratio(ours("gibPerSecond"), best("gibPerSecond")),
      atLeast: 1,
    },
    {
      what: `cold fill and next mapping together, of the fastest peer's (${device})`,
      value: ratio(ours("bothGibPerSecond"), best("bothGibPerSecond")),
      atLeast: 1,
    },
    {
      what: `cold fill, of vmtouch -t (${device})`,
      value: ratio(ours("gibPerSecond"), at(rows, VMTOUCH)),
      atLeast: 1.3,
    },
    {
      what: `next mapping after prefault, of that after the reference's method (${device})`,
      value: ratio(ours("nextGibPerSecond"), medianOf(rows, REFERENCE, "nextGibPerSecond")),
      atLeast: 5,
    },
  ];
}

const shape = { columns: COLUMNS, moreIsBetter: true } as const;

function at(rows: readonly Row[], name: string): number | null {
  return medianOf(rows, name, "gibPerSecond");
}

function throughCache(rows: readonly Row[]): string[] {
  return rows.map((row) => row.name).filter((name) => name !== PREFAULT && name !== CEILING);
}

/** Four methods that use different numbers of processors. Not all: each run waits 16 s beforehand. */
const FRESH: readonly string[] = [PREFAULT, VMTOUCH, LLAMA, REFERENCE];

async function runFresh(
  bench: Bench,
  path: string,
  methods: readonly Method[],
): Promise<Table | null> {
  if (!bench.subjects.memory.varies) return null;
  const title = "Into memory that the hypervisor has yet to give";
  bench.say(` ${title}`);
  const chosen = methods.filter(({ name }) => FRESH.includes(name));
  const rows = await compare(bench, path, chosen, {}, "taken back");
  return { ...shape, id: "peers-fresh", title, rows };
}

async function runUntuned(bench: Bench, methods: readonly Method[]): Promise<Table | null> {
  return onUntunedDisk(bench, async (own) => {
    const path = await own.subjects.file(own.settings.bytes);
    const rows = await compare(own, path, methods, {});
    return { ...shape, id: "peers-untuned", title: capitalised(UNTUNED), rows };
  });
}

async function runCapped(bench: Bench, methods: readonly Method[]): Promise<Table | null> {
  const { capBytes, bytes } = bench.settings;
  const cap = capReads(bench.subjects.folder, capBytes);
  if (cap.missing !== undefined) {
    bench.say(` no capped device: ${cap.missing}`);
    return null;
  }
  try {
    const title = `The device capped at ${Math.round(capBytes / 1024 ** 2)} MiB/s`;
    bench.say(` ${title}`);
    const path = await bench.subjects.file(Math.min(bytes, CAPPED_BYTES));
    const rows = await compare(bench, path, methods, { cgroup: cap.cgroup });
    return { ...shape, id: "peers-capped", title, rows };
  } finally {
    cap.remove();
  }
}

async function compare(
  { subjects, settings, say, ...bench }: Bench,
  path: string,
  methods: readonly Method[],
  options: RunOptions,
  memory: "given" | "taken back" = "given",
): Promise<Row[]> {
  const rows = await interleave(
    methods.map(({ name, skipped, fillsCache, fill }) => ({
      name,
      skipped,
      async run() {
        await subjects.cool(path, memory);
        const filled = await fill(path, options);
        if (!fillsCache) return filled;
        const residentPercent = await subjects.residentPercent(path);
        const next = await nextMapping({ subjects, settings, say, ...bench }, path);
        const bothGibPerSecond = together(filled["gibPerSecond"], next["nextGibPerSecond"]);
        return { ...filled, residentPercent, ...next, bothGibPerSecond };
      },
    })),
    settings.rounds,
    say,
  );
  return rows.map((row) => ({ ...row, samples: withCeiling(row, rows) }));
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The rate of two passes over the same bytes, one after the other. */
function together(one = Number.NaN, other = Number.NaN): number {
  return 1 / (1 / one + 1 / other);
}

/** Adds the ratio to fio in the same round, which is steadier than either rate. */
function withCeiling(row: Row, rows: readonly Row[]): Row["samples"] {
  const ceiling = rows.find(({ name }) => name === CEILING);
  return row.samples.map((sample, round) => {
    const [own, top] = [sample["gibPerSecond"], ceiling?.samples[round]?.["gibPerSecond"]];
    return own === undefined || top === undefined ? sample : { ...sample, ofCeiling: own / top };
  });
}
