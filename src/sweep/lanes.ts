import { availableParallelism } from "node:os";
import type { Shim } from "../../shims/index.ts";

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
 * Lanes for a caller who did not say how many. Cold, twice the processors: a lane mostly waits for
 * the device, and its queue should not run dry. Warm, one for each: there is nothing to wait for, and
 * a lane more takes a processor from another. A disk with an arm gets one: two would send it to and
 * fro (PocketLLM issue 53).
 *
 * @param fds of the files to fill
 */
export function defaultLanes(
  bytes: number,
  residentBytes: number | null,
  fds: readonly number[],
  shim: Pick<Shim, "isLocal" | "isSpinning">,
): number {
  const processors = availableParallelism();
  if (isWarm(bytes, residentBytes)) {
    return Math.min(processors, MOST);
  }
  if (fds.some((fd) => shim.isSpinning(fd))) return 1;
  const most = fds.every((fd) => shim.isLocal(fd)) ? MOST : MOST_REMOTE;
  return Math.min(Math.max(2 * processors, 2), most);
}
