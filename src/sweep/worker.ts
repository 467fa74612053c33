import { loadShim } from "../../shims/index.ts";
import type { WorkerResult, WorkerTask } from "./protocol.ts";
import { runWorker } from "./run-worker.ts";

/** The entry point of a worker thread. */
export default async function worker(task: WorkerTask): Promise<WorkerResult> {
  return runWorker(task, await loadShim(true));
}
