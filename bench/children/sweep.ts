/**
 * Sweeps in a process of its own and prints what it cost there: anonymous memory, and the delay of the
 * event loop.
 */
import { readFileSync, statSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type LlamaPlacement,
  openModel,
  type PrefaultOptions,
  type PrefaultReport,
  planPass,
  prefault,
} from "prefault";

export interface SweepTask {
  readonly path: string;
  readonly options?: PrefaultOptions;
  /** What of a model stays on the CPU; @defaultValue every byte of the file */
  readonly placement?: LlamaPlacement;
  /** Sweeps one after the other in this process. @defaultValue `1` */
  readonly times?: number;
}

export interface SweepOutcome {
  readonly reports: readonly PrefaultReport[];
  /** From the call to its answer, for each sweep. */
  readonly callSeconds: readonly number[];
  /** Most anonymous memory during the sweeps, over what there was before. */
  readonly anonymousBytes: number;
  readonly loopP99Ms: number;
  readonly loopMaxMs: number;
}

const SAMPLE_MS = 20;

const task = JSON.parse(process.argv[2] ?? "{}") as SweepTask;
const target =
  task.placement === undefined
    ? [{ path: task.path, offset: 0, byteLength: statSync(task.path).size }]
    : planPass(await openModel(task.path), task.placement);
const options: PrefaultOptions = { gate: "always", onError: "throw", log() {}, ...task.options };
// Whatever the import started is over before anything is measured.
await sleep(50);

const before = anonymousBytes();
let most = before;
const sampler = setInterval(() => {
  most = Math.max(most, anonymousBytes());
}, SAMPLE_MS);
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();

const reports: PrefaultReport[] = [];
const callSeconds: number[] = [];
for (let time = 0; time < (task.times ?? 1); time++) {
  const started = performance.now();
  reports.push(await prefault(target, options));
  callSeconds.push((performance.now() - started) / 1000);
}

delay.disable();
clearInterval(sampler);
const outcome: SweepOutcome = {
  reports,
  callSeconds,
  anonymousBytes: Math.max(most, anonymousBytes()) - before,
  loopP99Ms: delay.percentile(99) / 1e6,
  loopMaxMs: delay.max / 1e6,
};
process.stdout.write(`${JSON.stringify(outcome)}\n`);

/** `RssAnon` is kept up to date by the kernel; asking costs no walk over the mappings. */
function anonymousBytes(): number {
  const status = readFileSync("/proc/self/status", "utf8");
  return 1024 * Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN);
}
