import type { FileFacts } from "../../shims/index.ts";

/** What Linux reads ahead on a disk nobody tuned (`VM_READAHEAD_PAGES`, include/linux/mm.h). */
const LEAST_BYTES = 128 * 1024;

/** Larger hints were no longer honoured in full on any device measured. */
const MOST_BYTES = 2 * 1024 ** 2;

/**
 * Bytes a single read-ahead hint may cover on the file's device. The kernel reads at most the
 * device's read-ahead window for each call, whatever was asked, and still returns success
 * (mm/readahead.c, `force_page_cache_ra`).
 */
export function hintBytes(facts: Pick<FileFacts, "readAheadBytes">): number {
  return Math.min(Math.max(readAheadBytes(facts), LEAST_BYTES), MOST_BYTES);
}

/** Bytes the system reads ahead on the file's device. */
export function readAheadBytes(facts: Pick<FileFacts, "readAheadBytes">): number {
  return facts.readAheadBytes ?? LEAST_BYTES;
}
