import { setTimeout as sleep } from "node:timers/promises";
import { fieldsOf } from "../hold/process-stat.ts";
import { readText } from "../memory/read-text.ts";

/**
 * Between two looks whether a process still runs: nobody waits for it, and each wakes a processor. One is a single read
 * of a file that no disk is asked for; by a promise it would wake three threads, and cost more than all else that `keep`
 * does while nothing goes missing.
 */
const LOOK_MS = 5000;

/** Waits until a process has ended, or the signal fires. Linux only. Never rejects. */
export async function untilEnded(pid: number, signal: AbortSignal): Promise<void> {
  const started = startOf(pid);
  while (!signal.aborted && started !== null && startOf(pid) === started) {
    await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
  }
}

/**
 * When a process was started, since its number is given to another one later; `null` for one that has ended,
 * also where nobody has asked for its status yet. Field 3 is the state, 22 the start.
 */
function startOf(pid: number): string | null {
  const fields = fieldsOf(readText(`/proc/${pid}/stat`));
  const [state = "Z"] = fields;
  return state === "Z" || state === "X" ? null : (fields[22 - 3] ?? null);
}
