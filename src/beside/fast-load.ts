import { setTimeout as sleep } from "node:timers/promises";
import { readBytesOf } from "./activity.ts";

/** Between two looks. */
const LOOK_MS = 100;

/** A load that reads no weights in this time has its model in memory, or does something else first. */
const BEGIN_MS = 300;

/** More than this share of the file is more than its header. */
const HEADER = 0.01;

/** What is loaded sooner gains nothing by a sweep beside it. */
const SOON_MS = 1500;

/** Less than this missing is what was resident before. */
const ALL = 0.98;

/** What a process has read by a time. */
export interface ReadSoFar {
  readonly ms: number;
  readonly bytes: number;
}

/**
 * Whether a load will have read the rest of its model soon, by how fast it has read lately. One that has not
 * begun is given a moment.
 *
 * @param bytes of the model's file
 */
export function isSoonRead(
  bytes: number,
  { first, last, now }: { first: ReadSoFar; last: ReadSoFar; now: ReadSoFar },
): boolean {
  const read = now.bytes - first.bytes;
  // More than the file: the model has others, and how large they are is not known.
  if (read > bytes / ALL) return false;
  if (read >= ALL * bytes) return true;
  if (read <= HEADER * bytes) return now.ms - first.ms < BEGIN_MS;
  // It began between these two looks: how fast it is, the next one tells.
  if (last.bytes - first.bytes <= HEADER * bytes) return true;
  const lately = (now.bytes - last.bytes) / (now.ms - last.ms);
  return bytes - read <= SOON_MS * lately;
}

/**
 * Waits while an engine in this process reads its model so fast that nothing is gained beside it: to plan what to fill
 * takes a tenth of a second of a processor, which the load needs (`npm run bench -- --scope beside`). Never rejects.
 *
 * @param bytes of the model's file
 * @returns whether the load is done and has read all of it; `false` also where the system does not tell (all but Linux)
 */
export async function isLoadedSoon(
  bytes: number,
  loading: Promise<unknown>,
  signal: AbortSignal,
): Promise<boolean> {
  let isOver = false;
  const over = loading
    .catch(() => {})
    .then(() => {
      isOver = true;
    });
  const first = await look();
  if (first === null) return false;
  for (let last = first; !signal.aborted; ) {
    await Promise.race([over, sleep(LOOK_MS, undefined, { signal, ref: false }).catch(() => {})]);
    const now = await look();
    if (now === null) return false;
    if (isOver) return now.bytes - first.bytes >= ALL * bytes;
    if (!isSoonRead(bytes, { first, last, now })) return false;
    last = now;
  }
  return false;
}

async function look(): Promise<ReadSoFar | null> {
  const bytes = await readBytesOf([process.pid]);
  return bytes === null ? null : { ms: performance.now(), bytes };
}
