import { loadShim } from "../../shims/index.ts";
import type { WorkerResult, WorkerTask } from "./protocol.ts";
import { runWorker } from "./run-worker.ts";

/** What the pool runs in each of its threads. */
export default async function worker(task: WorkerTask): Promise<WorkerResult> {
  return runWorker(task, await loadShim(true));
}
