import { setImmediate as turn } from "node:timers/promises";

/** The event loop turns at least this often. */
const TURN_MS = 8;

/** Of this thread, whoever asks: many short steps block the loop as a long one does. */
let turnedMs = 0;

/** Lets the event loop turn, unless it has just done so. To be awaited between two steps of long work. */
export async function turnIfDue(): Promise<void> {
  if (performance.now() - turnedMs < TURN_MS) return;
  await turn();
  turnedMs = performance.now();
}
