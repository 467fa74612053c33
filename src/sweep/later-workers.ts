import { setTimeout as sleep } from "node:timers/promises";
import type { SweepControl } from "../control/sweep-control.ts";

/** Between two looks how fast the sweep is. */
const LOOK_MS = 150;

/**
 * More threads pay only where the rest takes longer than this: where page faults are slow, to start one takes 0.1 s of
 * a processor, which those that fill need (`npm run bench -- --scope startup`).
 */
const LONG_MS = 1000;

/** What is asked of a sweep. */
type Filling = Pick<SweepControl, "progress" | "cancelled" | "taken" | "workers">;

/**
 * Waits until it pays to start more worker threads than processors: when what is left takes long at the rate so far.
 *
 * @param over fulfilled when the workers that were started at once have ended
 * @returns `false` when the sweep is over before that
 */
export async function paysToStartMore(
  filling: Filling,
  of: { readonly bytes: number; readonly chunks: number },
  over: Promise<unknown>,
): Promise<boolean> {
  let isOver = false;
  void over.finally(() => {
    isOver = true;
  });
  for (let began = performance.now(); ; ) {
    await Promise.race([over, sleep(LOOK_MS, undefined, { ref: false })]);
    const { progress } = filling;
    if (isOver || filling.cancelled || filling.taken >= of.chunks) return false;
    if (filling.workers === 0) began = performance.now();
    else if ((of.bytes - progress) * (performance.now() - began) > LONG_MS * progress) return true;
  }
}
