import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type FileRegion, residency } from "prefault";
import { loadShim } from "../../shims/index.ts";
import { resolveOptions } from "../../src/options.ts";
import { arrange } from "../../src/run/arrange.ts";
import { fileRegions, resolveTarget } from "../../src/target/target.ts";
import { gibPerSecond } from "../../src/units.ts";
import { writeCsvProfile } from "../engine/profile.ts";
import { bytesReadBy } from "../loop-disk.ts";
import { runProgram } from "../process.ts";
import { type Check, type Column, medianOf, ratio, type Table } from "../result.ts";
import { interleave } from "../rounds.ts";
import { zipfProfile } from "../zipf-reader.ts";
import type { Disk } from "./disks.ts";
import { fillWithin, inHalf } from "./half-memory.ts";

const OURS = "prefault --budget --profile";
const IN_C = "four threads in C";
const THREADS = "4";

const COLUMNS: readonly Column[] = [
  { key: "gibPerSecond", title: "fill, GiB/s" },
  { key: "callGibPerSecond", title: "whole call, GiB/s" },
  { key: "readOverListed", title: "device read, of what was listed", digits: 3 },
  { key: "residentShare", title: "resident afterwards, of what was listed", digits: 3 },
];

/** The same slices, of 30 % of the model, filled by prefault and by nothing but reads. */
export async function compareFills(disk: Disk, path: string): Promise<Table> {
  const { bench, id, title } = disk;
  const { subjects, tools, settings, say } = bench;
  const profile = join(subjects.folder, "fill.csv");
  writeCsvProfile(profile, await zipfProfile({ path, tokens: 0, s: 1, seed: 13 }, 2000));
  const options = { budget: Math.floor(0.3 * settings.bytes), profile };
  const regions = await listed(path, options);
  const listedBytes = regions.reduce((sum, { byteLength = 0 }) => sum + byteLength, 0);
  const list = join(subjects.folder, "fill.ranges");
  const words = regions.flatMap(({ offset = 0, byteLength = 0 }) => [offset, byteLength]);
  writeFileSync(list, new BigUint64Array(words.map((word) => BigInt(word))));
  const contender = (name: string, fill: (procs: string) => Promise<[number, number]>) => ({
    name,
    skipped: tools.missing,
    async run() {
      await subjects.cool(path);
      return inHalf(path, async (procs) => {
        const before = bytesReadBy(subjects.folder);
        const [seconds, callSeconds] = await fill(procs);
        const read = bytesReadBy(subjects.folder) - before;
        const { residentBytes } = await residency(regions);
        return {
          gibPerSecond: gibPerSecond(listedBytes, seconds),
          callGibPerSecond: gibPerSecond(listedBytes, callSeconds),
          readOverListed: read / listedBytes,
          residentShare: Math.min(1, (residentBytes ?? Number.NaN) / listedBytes),
        };
      });
    },
  });
  const rows = await interleave(
    [
      contender(OURS, async (procs) => {
        const { fillSeconds, callSeconds } = await fillWithin({ path, options }, procs);
        return [fillSeconds, callSeconds];
      }),
      contender(IN_C, async (cgroup) => {
        const program = tools.missing === undefined ? tools.path("slices") : "";
        const ended = await runProgram(program, [path, list, THREADS], { cgroup });
        const { seconds } = JSON.parse(ended.stdout) as { seconds: number };
        return [seconds, ended.seconds];
      }),
    ],
    Math.max(settings.rounds, 5),
    say,
  );
  return {
    id: `slices-${id}`,
    title: `Slices, ${title}`,
    columns: COLUMNS,
    rows,
    moreIsBetter: true,
  };
}

/** What prefault would fill, by the same code. */
async function listed(
  path: string,
  options: { readonly budget: number; readonly profile: string },
): Promise<FileRegion[]> {
  const target = await resolveTarget(path);
  const { runs } = await arrange(target, resolveOptions(options), await loadShim());
  return fileRegions(runs);
}

export function fillChecks({ title }: Disk, { rows }: Table): Check[] {
  const ours = (key: string) => medianOf(rows, OURS, key);
  return [
    {
      what: `fill of slices, of four threads in C (${title})`,
      value: ratio(ours("gibPerSecond"), medianOf(rows, IN_C, "gibPerSecond")),
      atLeast: 0.9,
    },
    {
      what: `the device reads, of what was listed (${title})`,
      value: ours("readOverListed"),
      atMost: 1.05,
    },
    {
      what: `resident afterwards, of what was listed (${title})`,
      value: ours("residentShare"),
      atLeast: 0.97,
    },
  ];
}
