import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { recordProfile, residency, writeProfile } from "prefault";
import type { BudgetTask } from "../children/budget.ts";
import { writeCsvProfile } from "../engine/profile.ts";
import { bytesReadBy } from "../loop-disk.ts";
import { LLAMA, type Method, peerMethods, VMTOUCH } from "../methods.ts";
import { type Check, type Column, medianOf, ratio, type Table } from "../result.ts";
import { interleave } from "../rounds.ts";
import { readZipfTokens, writeZipfTokens, type ZipfTask, zipfProfile } from "../zipf-reader.ts";
import type { Disk } from "./disks.ts";
import { fillWithin, inHalf, RESERVE_BYTES } from "./half-memory.ts";

const NOTHING = "nothing";
const CORE = "core";
const UNRANKED = "core + unranked experts";
const PROFILE = "core + profile";
const SNAPSHOT = "core + snapshot";

const COLUMNS: readonly Column[] = [
  { key: "firstMs", title: "first token, ms", digits: 0 },
  { key: "firstFiveMs", title: "tokens 1-5, ms", digits: 0 },
  { key: "tokensPerSecond", title: "then tokens a second", digits: 1 },
  { key: "readGib", title: "read by the device, GiB" },
  { key: "fillSeconds", title: "the fill takes, s" },
  { key: "residentShare", title: "resident after it, of what was planned", digits: 3 },
];

const SEED = 13;
/** What a profile is counted from, and how long an engine worked before a snapshot. */
const PROFILED_TOKENS = 2000;
const EARLIER_TOKENS = 40;

/** What is compared where no claim is made. */
const FEW: readonly string[] = [NOTHING, whole(LLAMA), PROFILE];

export interface HowMany {
  readonly rounds: number;
  /** Whether all contenders run, or few. */
  readonly all: boolean;
  /** More than five. */
  readonly tokens: number;
}

/** One skew on one disk, the contenders interleaved. */
export async function compareReaders(
  disk: Disk,
  path: string,
  s: number,
  { rounds, all, tokens }: HowMany,
): Promise<Table> {
  const { bench, id, title } = disk;
  const { subjects, tools, say } = bench;
  say(`  Zipf ${s}`);
  const task: ZipfTask = { path, tokens, s, seed: SEED };
  const list = join(subjects.folder, `zipf-${s}.tokens`);
  await writeZipfTokens(task, list);
  const profile = join(subjects.folder, `zipf-${s}.csv`);
  writeCsvProfile(profile, await zipfProfile(task, PROFILED_TOKENS));
  const snapshot = all ? await earlierSnapshot(disk, task) : "";
  const budget = { budget: "auto", reserveBytes: RESERVE_BYTES } as const;
  const ways: { name: string; skipped?: string | undefined; fill: Fill }[] = [
    { name: NOTHING, fill: async () => undefined },
    ...(await peerMethods(bench))
      .filter(({ name }) => name === LLAMA || name === VMTOUCH)
      .map(({ name, skipped, fill }) => ({ name: whole(name), skipped, fill: ofPeer(fill) })),
    { name: CORE, fill: ofPrefault({}) },
    { name: UNRANKED, fill: ofPrefault(budget) },
    { name: PROFILE, fill: ofPrefault({ ...budget, profile }) },
    { name: SNAPSHOT, fill: ofPrefault({ ...budget, profile: snapshot }) },
  ];
  const contenders = ways.filter(({ name }) => all || FEW.includes(name));
  const rows = await interleave(
    contenders.map(({ name, skipped, fill }) => ({
      name,
      skipped: skipped ?? tools.missing,
      async run() {
        await subjects.cool(path);
        return inHalf(path, async (procs) => {
          const started = performance.now();
          const plannedBytes = await fill(path, procs);
          const fillSeconds = (performance.now() - started) / 1000;
          const resident = plannedBytes && (await residency(path)).residentBytes;
          const before = bytesReadBy(subjects.folder);
          const outcome = await readZipfTokens(tools, path, list, procs);
          return {
            firstMs: 1000 * outcome.firstToken,
            firstFiveMs: 1000 * outcome.firstFive,
            tokensPerSecond: outcome.tokensPerSecond,
            readGib: (bytesReadBy(subjects.folder) - before) / 1024 ** 3,
            ...(name !== NOTHING && { fillSeconds }),
            ...(plannedBytes && { residentShare: Math.min(1, (resident ?? 0) / plannedBytes) }),
          };
        });
      },
    })),
    rounds,
    say,
  );
  return {
    id: `larger-${id}-${s}`,
    title: `Zipf ${s}, ${title}`,
    columns: COLUMNS,
    rows,
    moreIsBetter: false,
  };
}

/** @returns bytes that were planned, where that is known */
type Fill = (path: string, procs: string) => Promise<number | undefined>;

function ofPeer(fill: Method["fill"]): Fill {
  return async (path, cgroup) => {
    await fill(path, { cgroup });
    return undefined;
  };
}

function ofPrefault(options: BudgetTask["options"]): Fill {
  return async (path, cgroup) => (await fillWithin({ path, options }, cgroup)).plannedBytes;
}

function whole(name: string): string {
  return `${name}, whole file`;
}

/** What an engine that worked on other tokens left in the page cache, as `prefault record --once` has it. */
async function earlierSnapshot({ bench }: Disk, task: ZipfTask): Promise<string> {
  const { subjects, tools } = bench;
  const list = join(subjects.folder, `zipf-${task.s}.earlier`);
  await writeZipfTokens({ ...task, tokens: EARLIER_TOKENS }, list, "earlier");
  await subjects.cool(task.path);
  const profile = await inHalf(task.path, async (procs) => {
    await readZipfTokens(tools, task.path, list, procs);
    return recordProfile(task.path, { forMs: 0 });
  });
  const path = join(subjects.folder, `zipf-${task.s}.json`);
  writeFileSync(path, writeProfile(profile));
  return path;
}

export function readerChecks({ id, title }: Disk, { rows }: Table, s: number): Check[] {
  const of = (name: string, key: string) =>
    ratio(medianOf(rows, PROFILE, key), medianOf(rows, name, key));
  if (s === 0) {
    const what = `Zipf 0, core + profile, of nothing's (${title})`;
    return [
      { what: `first token, ${what}`, value: of(NOTHING, "firstMs"), atMost: 1 },
      { what: `tokens 1-5, ${what}`, value: of(NOTHING, "firstFiveMs"), atMost: 1 },
    ];
  }
  if (s !== 1 || id !== "128") return [];
  const resident = {
    what: `resident afterwards, of what the budget had room for, core + profile (${title})`,
    value: medianOf(rows, PROFILE, "residentShare"),
    atLeast: 0.97,
  };
  const reads = [NOTHING, whole(LLAMA)].flatMap((name) => [
    {
      what: `first token, Zipf 1, core + profile, of that after ${name} (${title})`,
      value: of(name, "firstMs"),
      atMost: 0.35,
    },
    {
      what: `tokens 1-5, the same, of those after ${name}`,
      value: of(name, "firstFiveMs"),
      atMost: 0.45,
    },
  ]);
  return [resident, ...reads];
}
