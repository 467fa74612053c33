import { loadShim } from "../../shims/index.ts";
import { runLane } from "./lane.ts";
import type { LaneResult, LaneTask } from "./protocol.ts";

/** What the pool runs in each of its threads. */
export default async function lane(task: LaneTask): Promise<LaneResult> {
  return runLane(task, await loadShim(true));
}
