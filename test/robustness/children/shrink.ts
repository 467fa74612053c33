/** Sweeps files that are cut off at random moments, and counts how that ends. */
import { type FileHandle, open, truncate, unlink, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { type PrefaultOptions, prefault } from "prefault";
import { Random } from "../random.ts";

interface Argument {
  readonly folder: string;
  readonly rounds: number;
  readonly strategy: PrefaultOptions["strategy"];
  readonly seed: number;
}

/** Sweeps that run at the same time keep the workers' threads alive from one to the next. */
const AT_A_TIME = 12;
const BYTES = 4 * 1024 ** 2;

const argument = JSON.parse(process.argv[2] ?? "") as Argument;
const random = new Random(argument.seed);
const outcomes: Record<string, number> = {};
let left = argument.rounds;

async function round(path: string): Promise<string> {
  await writeFile(path, Buffer.alloc(BYTES, 1));
  // A file that someone writes to cannot be held still.
  const writer: FileHandle | undefined = random.chance(0.5) ? await open(path, "r+") : undefined;
  const pending = prefault([{ path }], {
    gate: "always",
    log() {},
    strategy: argument.strategy,
    onError: random.chance(0.5) ? "continue" : "report",
    workers: 1 + random.below(4),
    chunkBytes: random.pick([65_536, 2 ** 20, 2 ** 25]),
  });
  await sleep(random.below(25));
  await truncate(path, random.below(BYTES));
  if (random.chance(0.3)) await truncate(path, random.below(BYTES));
  const { error } = await pending;
  await writer?.close();
  if (error === undefined) return "done";
  return error.code === "PREFAULT_FILE_CHANGED" ? error.code : `${error.code}: ${error.message}`;
}

async function slot(number: number): Promise<void> {
  const path = `${argument.folder}/shrinking-${number}`;
  for (; left > 0; ) {
    left -= 1;
    const outcome = await round(path);
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  }
  await unlink(path);
}

await Promise.all(Array.from({ length: AT_A_TIME }, (_, number) => slot(number)));
console.log(JSON.stringify(outcomes));
