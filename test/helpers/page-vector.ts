import { closeSync, fstatSync, openSync } from "node:fs";
import koffi from "koffi";

/** So long is a page wherever these tests run. */
export const PAGE_BYTES = 4096;

const PROT_READ = 1; // sys/mman.h
const MAP_SHARED = 1;

/**
 * Which pages of a file are in the page cache, one byte a page, by `mincore(2)` of a mapping made for
 * it: a judge that shares no code with the package.
 */
export function pageVector(path: string): Uint8Array {
  const libc = koffi.load(null);
  const mmap = libc.func("void *mmap(void *, size_t, int, int, int, int64)");
  const munmap = libc.func("int munmap(void *, size_t)");
  const mincore = libc.func("int mincore(void *, size_t, _Out_ uint8_t *)");
  const fd = openSync(path, "r");
  const { size } = fstatSync(fd);
  const address = mmap(null, size, PROT_READ, MAP_SHARED, fd, 0);
  closeSync(fd);
  const vector = new Uint8Array(Math.ceil(size / PAGE_BYTES));
  const failed = mincore(address, size, vector);
  munmap(address, size);
  if (failed !== 0) throw new Error(`mincore of ${path} failed`);
  return vector.map((state) => state & 1);
}

/** Marks the pages that ranges touch. */
export function pagesTouched(
  fileBytes: number,
  ranges: readonly { readonly offset?: number; readonly byteLength?: number }[],
): Uint8Array {
  const pages = new Uint8Array(Math.ceil(fileBytes / PAGE_BYTES));
  for (const { offset = 0, byteLength = 0 } of ranges) {
    if (byteLength === 0) continue;
    pages.fill(1, Math.floor(offset / PAGE_BYTES), Math.ceil((offset + byteLength) / PAGE_BYTES));
  }
  return pages;
}
