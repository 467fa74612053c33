import { statSync } from "node:fs";
import type { PrefaultOptions } from "prefault";
import { gibPerSecond } from "../src/units.ts";
import type { Bench } from "./bench.ts";
import type { SweepOutcome, SweepTask } from "./children/sweep.ts";
import { isInstalled, type RunOptions, runChild, runProgram } from "./process.ts";
import type { Sample } from "./result.ts";

/** A way of making a file resident, in a process of its own. */
export interface Method {
  readonly name: string;
  readonly skipped?: string | undefined;
  /** Whether the bytes it reads stay in the page cache. */
  readonly fillsCache: boolean;
  /** Fills a file. @returns `gibPerSecond`, and what else it measures */
  fill(path: string, options?: RunOptions): Promise<Sample>;
}

export const REFERENCE = "WILLNEED + parallel touch";
export const LLAMA = "MAP_POPULATE (llama.cpp)";
export const VMTOUCH = "vmtouch -t";
export const PREFAULT = "prefault";
export const CEILING = "fio direct (ceiling)";

/** The reference's runtime starts at least this many threads for a parallel loop that blocks. */
const REFERENCE_THREADS = 4;

/** The peers, prefault, and what the device gives without a page cache. */
export async function allMethods(bench: Bench): Promise<Method[]> {
  return [prefaultMethod(PREFAULT), ...(await peerMethods(bench)), await fioMethod()];
}

export async function peerMethods({ tools, machine }: Bench): Promise<Method[]> {
  const fill = (...args: string[]) => [tools.missing === undefined ? tools.path("fill") : "", args];
  const threads = String(Math.max(REFERENCE_THREADS, machine.cores));
  const helper = (name: string, [program, args]: (string | string[])[], ...rest: string[]) =>
    timed(name, String(program), (path) => [...(args ?? []), path, ...rest], tools.missing);
  return [
    timed(VMTOUCH, "vmtouch", (path) => ["-qt", path], await missing("vmtouch")),
    timed("cat > /dev/null", "/bin/sh", (path) => ["-c", 'cat "$0" > /dev/null', path]),
    timed("dd bs=4M", "dd", (path) => [`if=${path}`, "of=/dev/null", "bs=4M", "status=none"]),
    helper(LLAMA, fill("llama.cpp")),
    helper("touch, one thread", fill("touch")),
    helper(REFERENCE, fill("reference"), threads),
  ];
}

/** The library, in a fresh process. Its time is that of the call, which starts and ends its threads. */
export function prefaultMethod(name: string, options?: PrefaultOptions): Method {
  return {
    name,
    fillsCache: true,
    async fill(path, run) {
      const task: SweepTask = { path, ...(options && { options }) };
      const { result } = await runChild<SweepOutcome>("sweep", task, run);
      const [report] = result.reports;
      const [callSeconds = Number.NaN] = result.callSeconds;
      if (report === undefined || !report.ran) throw new Error(report?.reason ?? "no report");
      return {
        gibPerSecond: gibPerSecond(report.bytes, callSeconds),
        // Of the workers alone, without planning and without starting threads.
        workersGibPerSecond: report.gibPerSecond,
        minorFaults: report.minorFaults,
        majorFaults: report.majorFaults,
        largeFolios: Number(report.largeFolios ?? Number.NaN),
        anonymousMiB: result.anonymousBytes / 1024 ** 2,
        loopP99Ms: result.loopP99Ms,
        loopMaxMs: result.loopMaxMs,
      };
    },
  };
}

/** Direct reads by fio, past the page cache: the rate that no fill of the page cache can exceed. */
export async function fioMethod(): Promise<Method> {
  return {
    name: CEILING,
    fillsCache: false,
    skipped: await missing("fio"),
    async fill(path, run) {
      const args = [
        "--name=ceiling",
        `--filename=${path}`,
        "--readonly",
        "--direct=1",
        "--rw=read",
      ];
      const depth = ["--bs=1M", "--iodepth=16", "--ioengine=libaio", "--output-format=json"];
      const { stdout } = await runProgram("fio", [...args, ...depth], run);
      const parsed = JSON.parse(stdout.slice(stdout.indexOf("{"))) as {
        jobs: { read: { bw_bytes: number } }[];
      };
      return { gibPerSecond: (parsed.jobs[0]?.read.bw_bytes ?? Number.NaN) / 1024 ** 3 };
    },
  };
}

function timed(
  name: string,
  command: string,
  args: (path: string) => string[],
  skipped?: string,
): Method {
  return {
    name,
    skipped,
    fillsCache: true,
    async fill(path, run) {
      const { seconds } = await runProgram(command, args(path), run);
      return { gibPerSecond: gibPerSecond(statSync(path).size, seconds) };
    },
  };
}

async function missing(program: string): Promise<string | undefined> {
  return (await isInstalled(program)) ? undefined : `${program} is not installed`;
}
