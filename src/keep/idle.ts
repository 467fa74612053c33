import { setTimeout as sleep } from "node:timers/promises";
import { abortWith } from "../abortable.ts";
import { readBytesOf } from "../beside/activity.ts";
import { processTree } from "../hold/process-tree.ts";
import { Calm } from "../memory/calm.ts";
import { readText } from "../memory/read-text.ts";

/** Who reads no more than so much in this time is idle. */
const IDLE_MS = 1000;
const IDLE_BYTES = 1024 ** 2;

/** While something is filled, the engine is looked at this often. */
const BUSY_LOOK_MS = 200;

/**
 * Watches for a moment whether nobody waits for memory, and an engine, or where none is known anybody, reads
 * next to nothing. False when the signal fires meanwhile.
 */
export async function isQuiet(engine: number | null, signal: AbortSignal): Promise<boolean> {
  const calm = new Calm();
  const before = await readSoFar(engine);
  await sleep(IDLE_MS, undefined, { signal }).catch(() => {});
  if (signal.aborted || !calm.isCalm()) return false;
  return (await readSoFar(engine)) - before <= IDLE_BYTES;
}

/**
 * Does something until it is done, the engine reads, or the signal fires: its own signal tells.
 *
 * @returns what it came to; `null` when it threw because the engine began to read
 * @throws what the task throws otherwise
 */
export async function whileIdle<Result>(
  engine: number | null,
  signal: AbortSignal,
  task: (signal: AbortSignal) => Promise<Result>,
): Promise<Result | null> {
  const stop = new AbortController();
  const release = abortWith(stop, signal);
  const busy = new Error("the engine reads");
  const watching = engine === null ? undefined : watch(engine, () => stop.abort(busy));
  try {
    return await task(stop.signal);
  } catch (error) {
    if (stop.signal.reason === busy) return null;
    throw error;
  } finally {
    clearInterval(watching);
    release();
  }
}

/** What we read ourselves counts for the machine, so that only an engine's own count tells. */
function watch(engine: number, onBusy: () => void): NodeJS.Timeout {
  let before: number | null = null;
  return setInterval(async () => {
    const now = await readBytesOf(await processTree(engine));
    if (now !== null && before !== null && now - before > IDLE_BYTES) onBusy();
    before = now;
  }, BUSY_LOOK_MS);
}

/**
 * Bytes that an engine has made devices read so far. Of the whole machine (proc_vmstat(5), `pgpgin`) where no
 * engine is known, or where the system does not tell us what it reads.
 */
async function readSoFar(engine: number | null): Promise<number> {
  const own = engine === null ? null : await readBytesOf(await processTree(engine));
  return own ?? Number(/^pgpgin (\d+)$/m.exec(readText("/proc/vmstat"))?.[1] ?? 0) * 1024;
}
