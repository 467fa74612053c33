import { availableParallelism } from "node:os";
import type { FileSource } from "../file/open-file.ts";

/**
 * The most worker threads of all sweeps together. No device that was measured gained from more than eight
 * workers; sixteen allow two sweeps of different disks side by side.
 */
export const MOST_WORKERS = 16;

/** No device that was measured gained from more workers (`npm run bench -- --scope pool`). */
const MOST = 8;

/** For files on another machine: enough to hide the latency, and few enough that reads stay sequential. */
const MOST_REMOTE = 4;

/** With this share resident, the device has little to read. */
const WARM_SHARE = 0.95;

/** A fast device reads less than this while the first thread starts. */
const FEW_BYTES = 128 * 1024 ** 2;

/**
 * Whether to read on the calling thread, since starting worker threads would take longer than the fill.
 *
 * @param files to read; those of a server that may not answer are left to threads that can be given up
 */
export function readsSooner(bytes: number, files: readonly Pick<FileSource, "facts">[]): boolean {
  return bytes <= FEW_BYTES && files.every(({ facts }) => facts.isLocal);
}

/** Whether the processors limit a fill, and not the device. */
export function isWarm(bytes: number, residentBytes: number | null): boolean {
  return residentBytes !== null && residentBytes >= WARM_SHARE * bytes;
}

/**
 * The default number of workers. Beside an engine that loads: none, so that libuv's threads fill, since the load needs
 * the processors (`npm run bench -- --scope beside`); half the processors for files of a server, since a thread of
 * libuv's that waits for one could not be given up. Cold: twice the number of processors, since a worker mostly waits for
 * the device, whose queue should not become empty. Warm: one for each processor, since no worker waits.
 * On a rotating disk: one, since two would make it seek between their chunks (PocketLLM issue 53).
 *
 * @param files to fill
 */
export function defaultWorkers(
  bytes: number,
  residentBytes: number | null,
  files: readonly Pick<FileSource, "facts">[],
  isBesideLoad = false,
): number {
  const isLocal = files.every(({ facts }) => facts.isLocal);
  if (isBesideLoad) return isLocal ? 0 : Math.min(workersBesideEngine(), MOST_REMOTE);
  const processors = availableParallelism();
  if (isWarm(bytes, residentBytes)) {
    return Math.min(processors, MOST);
  }
  if (files.some(({ facts }) => facts.isRotational)) return 1;
  const most = isLocal ? MOST : MOST_REMOTE;
  return Math.min(Math.max(2 * processors, 2), most);
}

/**
 * The default number of workers where an engine loads or answers, and worker threads are needed all the same. It reads
 * as well, so that the device's queue is not empty without us, and wants a processor of its own.
 */
export function workersBesideEngine(): number {
  return Math.min(Math.max(Math.floor(availableParallelism() / 2), 1), MOST);
}
