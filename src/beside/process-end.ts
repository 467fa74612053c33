import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

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
 * also where nobody has asked for its status yet. Field 3 is the state, 22 the start (proc_pid_stat(5)).
 */
async function startOf(pid: number): Promise<string | null> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  // The name may have spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state = "Z"] = fields;
  return text === "" || state === "Z" || state === "X" ? null : (fields[22 - 3] ?? null);
}
