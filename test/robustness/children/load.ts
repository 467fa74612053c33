/** Sweeps overlapping regions of one file many times at once, and looks what that took. */
import { readdirSync, readFileSync } from "node:fs";
import { prefault } from "prefault";
import { Random } from "../random.ts";

interface Argument {
  readonly path: string;
  readonly byteLength: number;
  readonly sweeps: number;
}

export interface Load {
  readonly codes: readonly (string | null)[];
  readonly threadsBefore: number;
  readonly mostThreads: number;
  /** What this process had the device read (proc_pid_io(5)). */
  readonly readBytes: number;
  /** Of what was swept, each byte counted once. */
  readonly residentBytes: number;
}

const { path, byteLength, sweeps } = JSON.parse(process.argv[2] ?? "") as Argument;
const random = new Random(1);

const threads = () => readdirSync("/proc/self/task").length;
const readBytes = () =>
  Number(/^read_bytes: (\d+)$/m.exec(readFileSync("/proc/self/io", "utf8"))?.[1]);

// Loaded by now: what comes from the disk is the file's.
await prefault([{ path, byteLength: 4096 }], { log() {} });
const before = { threads: threads(), bytes: readBytes() };
let mostThreads = 0;
const timer = setInterval(() => {
  mostThreads = Math.max(mostThreads, threads());
}, 5);

const reports = await Promise.all(
  Array.from({ length: sweeps }, (_, number) => {
    // The first has it all; the others begin and end anywhere in it.
    const offset = number === 0 ? 0 : random.below(byteLength / 2);
    const length = number === 0 ? byteLength : 1 + random.below(byteLength - offset);
    const strategy = random.pick(["auto", "populate", "touch", "read"] as const);
    const region = { path, offset, byteLength: length };
    return prefault([region], { log() {}, gate: "always", strategy, workers: 4 });
  }),
);
clearInterval(timer);
const load: Load = {
  codes: [...new Set(reports.map(({ error }) => error?.code ?? null))],
  threadsBefore: before.threads,
  mostThreads,
  readBytes: readBytes() - before.bytes,
  residentBytes: reports[0]?.residentBytesAfter ?? 0,
};
console.log(JSON.stringify(load));
