import type { Bench, Scope } from "../bench.ts";
import { type PoolSettings, Workers } from "../pool/workers.ts";
import { nextMapping } from "../readers.ts";
import type { Column, Sample, Table } from "../result.ts";
import { interleave } from "../rounds.ts";

const KIB = 1024;
const MIB = 1024 ** 2;
const MOST_WORKERS = 16;

const COLD: readonly Column[] = [
  { key: "gibPerSecond", title: "fill, GiB/s" },
  { key: "minorFaults", title: "minor faults", digits: 0 },
  { key: "majorFaults", title: "major faults", digits: 0 },
  { key: "nextGibPerSecond", title: "next mapping, GiB/s", digits: 1 },
  { key: "nextFaults", title: "its minor faults", digits: 0 },
];
const WARM: readonly Column[] = [
  { key: "gibPerSecond", title: "GiB/s", digits: 1 },
  { key: "minorFaults", title: "minor faults", digits: 0 },
];

interface Factor {
  readonly id: string;
  readonly title: string;
  readonly variants: readonly (Partial<PoolSettings> & { readonly name: string })[];
}

/** One setting is varied at a time: all combinations would take days. */
const FACTORS: readonly Factor[] = [
  {
    id: "workers",
    title: "workers",
    variants: [1, 2, 4, 8, 16].map((workers) => ({ name: `${workers} workers`, workers })),
  },
  {
    id: "chunk",
    title: "chunk",
    variants: [1, 4, 16, 32, 64, 256].map((mib) => ({
      name: `${mib} MiB`,
      chunkBytes: mib * MIB,
    })),
  },
  {
    id: "mode",
    title: "populate, touch or both; large folios asked for or not",
    variants: [
      ...(["populate", "touch", "both"] as const).flatMap((mode) =>
        [true, false].map((largeFolios) => ({
          name: `${mode}, ${largeFolios ? "large" : "not asked"}`,
          mode,
          largeFolios,
        })),
      ),
      { name: "both, large, random access", random: true },
    ],
  },
  {
    id: "hint",
    title: "WILLNEED of several sizes over each chunk first",
    variants: [
      ...[0, 128 * KIB, 2 * MIB, 8 * MIB, 32 * MIB].map((hintBytes) => ({
        name: hintBytes === 0 ? "none" : `${hintBytes / KIB} KiB, not asked`,
        hintBytes,
        largeFolios: false,
      })),
      { name: "2048 KiB, large", hintBytes: 2 * MIB },
      { name: "none, large" },
    ],
  },
  {
    id: "batch",
    title: "batch that is filled in one call",
    variants: [1, 2, 8, 32, 64].map((mib) => ({ name: `${mib} MiB`, batchBytes: mib * MIB })),
  },
  {
    id: "tables",
    title: "when page tables are zapped",
    variants: (["chunk", "never"] as const).map((zapPageTables) => ({
      name: zapPageTables,
      zapPageTables,
    })),
  },
];

export const pool: Scope = {
  name: "pool",
  compares:
    "Workers over the same mapping, with one setting varied at a time around: both populate and touch, " +
    "large folios asked for, no hint, chunks and batches of 32 MiB, page tables zapped after each " +
    "chunk, twice as many workers as cores. Cold, and over a resident file with page tables empty. The " +
    "workers are the bench's own around the product's kernel and shim, so that everything can be varied; " +
    "threads are started beforehand.",
  wrongWhen: [
    "settings act together (one is varied at a time; the others are at the values above)",
    "the file is not cold, or for the warm runs not resident (checked before each run)",
    "the warm file lies in other folios than a cold run of the same settings would leave: it was " +
      "filled by the settings above, whatever is varied",
  ],
  async run(bench) {
    const { machine, settings, subjects } = bench;
    const base: PoolSettings = {
      workers: Math.min(Math.max(2 * machine.cores, 2), 8),
      chunkBytes: 32 * MIB,
      largeFolios: true,
      mode: "both",
      batchBytes: 32 * MIB,
      hintBytes: 0,
      random: false,
      zapPageTables: "chunk",
    };
    const path = await subjects.file(settings.bytes);
    const workers = await Workers.start(MOST_WORKERS);
    const tables: Table[] = [];
    try {
      for (const factor of FACTORS) tables.push(await vary(bench, factor, workers, base, path));
      await subjects.cool(path);
      await workers.fill(path, base);
      for (const factor of FACTORS.filter(({ id }) => id !== "hint")) {
        tables.push(await varyWarm(bench, factor, workers, base, path));
      }
    } finally {
      await workers.end();
    }
    return { tables, checks: [] };
  },
};

async function vary(
  bench: Bench,
  { id, title, variants }: Factor,
  workers: Workers,
  base: PoolSettings,
  path: string,
): Promise<Table> {
  bench.say(` cold: ${title}`);
  const run = async (settings: PoolSettings): Promise<Sample> => {
    await bench.subjects.cool(path);
    const filled = await workers.fill(path, settings);
    return { ...filled, ...(await nextMapping(bench, path)) };
  };
  const rows = await interleave(
    variants.map(({ name, ...other }) => ({ name, run: () => run({ ...base, ...other }) })),
    bench.settings.rounds,
    bench.say,
  );
  return { id: `pool-${id}`, title: `Cold: ${title}`, columns: COLD, rows, moreIsBetter: true };
}

async function varyWarm(
  bench: Bench,
  { id, title, variants }: Factor,
  workers: Workers,
  base: PoolSettings,
  path: string,
): Promise<Table> {
  bench.say(` warm: ${title}`);
  const run = async (settings: PoolSettings): Promise<Sample> => {
    if ((await bench.subjects.residentPercent(path)) < 100) await workers.fill(path, base);
    return workers.fill(path, settings);
  };
  const rows = await interleave(
    variants.map(({ name, ...other }) => ({ name, run: () => run({ ...base, ...other }) })),
    // A warm run takes milliseconds, so more rounds are cheap.
    3 * bench.settings.rounds,
    bench.say,
  );
  const heading = `Warm, page tables empty: ${title}`;
  return { id: `pool-warm-${id}`, title: heading, columns: WARM, rows, moreIsBetter: true };
}
