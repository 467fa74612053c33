import { setTimeout as sleep } from "node:timers/promises";
import { processStat } from "../hold/process-stat.ts";

/** Between two looks whether a process still runs; one takes some microseconds. */
const LOOK_MS = 1000;

/** Waits until a process has ended, or the signal fires. Linux only. Never rejects. */
export async function untilEnded(pid: number, signal: AbortSignal): Promise<void> {
  const started = await startOf(pid);
  while (!signal.aborted && started !== null && (await startOf(pid)) === started) {
    await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
  }
}

/**
 * When a process was started, since its number is given to another one later; `null` for one that has ended,
 * also where nobody has asked for its status yet. Field 3 is the state, 22 the start.
 */
async function startOf(pid: number): Promise<string | null> {
  const fields = await processStat(pid);
  const [state = "Z"] = fields;
  return state === "Z" || state === "X" ? null : (fields[22 - 3] ?? null);
}
