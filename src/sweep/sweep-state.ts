import { ControlPage, sharedBuffer } from "../control.ts";
import type { SweepState } from "./memory-watch.ts";
import type { LaneTask } from "./protocol.ts";

/** Of the whole sweep: what the kernels touch is counted in the memories they compute on. */
export function stateOf(task: LaneTask, control: ControlPage): SweepState {
  const pages = [
    control,
    ...task.arenas.map(({ memory }) => new ControlPage(sharedBuffer(memory))),
  ];
  return {
    get sweptBytes() {
      return pages.reduce((sum, page) => sum + page.progress, 0);
    },
    get workers() {
      return control.lanes;
    },
  };
}
