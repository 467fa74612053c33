import { fstatSync, readFileSync } from "node:fs";

/** What Linux reads ahead on a disk nobody tuned (`VM_READAHEAD_PAGES`, include/linux/mm.h). */
const LEAST_BYTES = 128 * 1024;

/** Larger hints were no longer honoured in full on any device measured. */
const MOST_BYTES = 2 * 1024 ** 2;

/**
 * Bytes a single read-ahead hint may cover on the file's device. The kernel reads at most the
 * device's read-ahead window for each call, whatever was asked, and still returns success
 * (mm/readahead.c, `force_page_cache_ra`).
 */
export function hintBytes(fd: number): number {
  return Math.min(Math.max(readAheadBytes(fd), LEAST_BYTES), MOST_BYTES);
}

/** Bytes the system reads ahead on the file's device. */
export function readAheadBytes(fd: number): number {
  const { dev } = fstatSync(fd, { bigint: true });
  const major = (dev >> 8n) & 0xfffn;
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xfff00n);
  try {
    const text = readFileSync(`/sys/class/bdi/${major}:${minor}/read_ahead_kb`, "utf8");
    return Number(text) * 1024;
  } catch {
    return LEAST_BYTES;
  }
}
