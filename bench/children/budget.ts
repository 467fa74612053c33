/** Fills a model within a budget, in a process of its own that may be in a memory cgroup. */
import { type PrefaultOptions, prefault } from "prefault";

export interface BudgetTask {
  readonly path: string;
  readonly options: Pick<PrefaultOptions, "budget" | "reserveBytes" | "profile">;
}

export interface BudgetOutcome {
  /** From the call to its answer. */
  readonly callSeconds: number;
  /** Of the threads that filled, both runs together. */
  readonly fillSeconds: number;
  /** What was planned; everything that fitted where there was no budget. */
  readonly plannedBytes: number;
  readonly budgetBytes: number | null;
  /** Why anything went wrong. */
  readonly error: string | null;
}

const { path, options } = JSON.parse(process.argv[2] ?? "{}") as BudgetTask;
const started = performance.now();
const report = await prefault(path, { ...options, log() {} });
const callSeconds = (performance.now() - started) / 1000;
const ran = (report.runs ?? [report]).filter((run) => run.ran);
const outcome: BudgetOutcome = {
  callSeconds,
  fillSeconds: ran.reduce((sum, { seconds }) => sum + seconds, 0),
  plannedBytes: ran.reduce((sum, run) => sum + (run.plannedBytes ?? run.bytes), 0),
  budgetBytes: report.budgetBytes ?? null,
  error: report.error?.message ?? null,
};
process.stdout.write(`${JSON.stringify(outcome)}\n`);
