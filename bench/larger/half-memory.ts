import { statSync } from "node:fs";
import type { BudgetOutcome, BudgetTask } from "../children/budget.ts";
import { MemoryGroup } from "../engine/memory-group.ts";
import { runChild } from "../process.ts";

/** The reader needs no more beside the model; the default is for an engine's buffers. */
export const RESERVE_BYTES = 64 * 1024 ** 2;

/** Runs something in a memory cgroup of half a model's size, made anew: nothing is charged to it yet. */
export async function inHalf<T>(path: string, run: (procs: string) => Promise<T>): Promise<T> {
  const group = new MemoryGroup(Math.floor(statSync(path).size / 2));
  try {
    return await run(group.procs);
  } finally {
    await group.remove();
  }
}

/** @throws Error for a fill that went wrong: what follows would be no comparison */
export async function fillWithin(task: BudgetTask, cgroup: string): Promise<BudgetOutcome> {
  const { result } = await runChild<BudgetOutcome>("budget", task, { cgroup });
  if (result.error !== null) throw new Error(result.error);
  return result;
}
