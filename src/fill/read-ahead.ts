import type { FileFacts } from "../../shims/index.ts";

/** Linux's default read-ahead (`VM_READAHEAD_PAGES`, include/linux/mm.h). */
const LEAST_BYTES = 128 * 1024;

/** No device that was measured read more than this for one hint. */
const MOST_BYTES = 2 * 1024 ** 2;

/**
 * Bytes of one read-ahead hint on the file's device. For each call the kernel reads at most the device's
 * read-ahead and still returns success (mm/readahead.c, `force_page_cache_ra`).
 */
export function hintBytes(facts: Pick<FileFacts, "readAheadBytes">): number {
  return Math.min(Math.max(readAheadBytes(facts), LEAST_BYTES), MOST_BYTES);
}

/** Bytes that the system reads ahead on the file's device. @defaultValue 128 KiB where unknown */
export function readAheadBytes(facts: Pick<FileFacts, "readAheadBytes">): number {
  return facts.readAheadBytes ?? LEAST_BYTES;
}
