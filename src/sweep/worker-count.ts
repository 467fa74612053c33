import { availableParallelism } from "node:os";
import type { FileSource } from "../file/open-file.ts";

/** No device measured gained from more (`npm run bench -- --scope pool`). */
const MOST = 8;

/** Readers of another machine's files: enough to hide its latency, few enough to read in sequence. */
const MOST_REMOTE = 4;

/** So much resident that the device has next to nothing to do. */
const WARM_SHARE = 0.95;

/** Whether filling is a matter of processors and memory, and not of the device. */
export function isWarm(bytes: number, residentBytes: number | null): boolean {
  return residentBytes !== null && residentBytes >= WARM_SHARE * bytes;
}

/**
 * Workers for a caller who did not say how many. Cold, twice the processors: a worker mostly waits for
 * the device, and its queue should not run dry. Warm, one for each: there is nothing to wait for, and
 * a worker more takes a processor from another. A rotating disk gets one: two would make it
 * seek from one to the other and back (PocketLLM issue 53).
 *
 * @param files to fill
 */
export function defaultWorkers(
  bytes: number,
  residentBytes: number | null,
  files: readonly Pick<FileSource, "facts">[],
): number {
  const processors = availableParallelism();
  if (isWarm(bytes, residentBytes)) {
    return Math.min(processors, MOST);
  }
  if (files.some(({ facts }) => facts.isRotational)) return 1;
  const most = files.every(({ facts }) => facts.isLocal) ? MOST : MOST_REMOTE;
  return Math.min(Math.max(2 * processors, 2), most);
}
