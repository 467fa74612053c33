import { setTimeout as sleep } from "node:timers/promises";
import type { SweepControl } from "../control/sweep-control.ts";
import type { TurnWord } from "../control/turn-word.ts";

/** Between two looks how fast the sweep is. */
const LOOK_MS = 150;

/**
 * More threads pay only where the rest takes longer than this: where page faults are slow, to start one takes 0.1 s of
 * a processor, which those that fill need (`npm run bench -- --scope startup`).
 */
const LONG_MS = 1000;

/** What is asked of a sweep. */
type Filling = Pick<SweepControl, "progress" | "cancelled" | "taken" | "workers">;

/** All that it has to fill. */
interface Whole {
  readonly bytes: number;
  readonly chunks: number;
}

/**
 * Waits until it pays to start more worker threads than processors: when what is left takes long at the rate since the
 * last look. Never beside an engine that loads, which needs the processors.
 *
 * @param over fulfilled when the workers that were started at once have ended
 * @returns `false` when the sweep is over before that
 */
export async function paysToStartMore(
  filling: Filling,
  { bytes, chunks }: Whole,
  turns: Pick<TurnWord, "turn"> | null,
  over: Promise<unknown>,
): Promise<boolean> {
  let isOver = false;
  void over.finally(() => {
    isOver = true;
  });
  for (let last: { ms: number; progress: number } | null = null; ; ) {
    await Promise.race([over, sleep(LOOK_MS, undefined, { ref: false })]);
    if (isOver || filling.cancelled || filling.taken >= chunks) return false;
    const isAlone = turns === null || turns.turn === "alone";
    // The workers start slowly, and what waits for its turn fills nothing.
    const now =
      isAlone && filling.workers > 0 ? { ms: performance.now(), progress: filling.progress } : null;
    if (now !== null && last !== null) {
      const leftMs = ((bytes - now.progress) * (now.ms - last.ms)) / (now.progress - last.progress);
      if (leftMs > LONG_MS) return true;
    }
    last = now;
  }
}
