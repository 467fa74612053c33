import { type FileHandle, open } from "node:fs/promises";
import { bindExtra } from "../../shims/libc.ts";
import type { Range } from "../../src/plan/range.ts";

const POSIX_FADV_RANDOM = 1; // linux/fadvise.h

/** Bytes of one read: a large request for a device, and small enough to have several under way. */
const READ_BYTES = 2 * 1024 ** 2;

const fadvise = bindExtra<(fd: number, offset: number, bytes: number, advice: number) => number>(
  "int posix_fadvise(int fd, int64_t offset, int64_t bytes, int advice)",
);

/**
 * Reads these ranges of a file, in this order, and no page more: under `POSIX_FADV_RANDOM` the kernel
 * reads nothing ahead, and takes pages of the smallest size.
 *
 * @param readers how many reads are under way at a time; libuv has four threads
 */
export async function readExactly(
  path: string,
  ranges: readonly Range[],
  readers = 4,
): Promise<void> {
  const handle = await open(path);
  try {
    if (fadvise(handle.fd, 0, 0, POSIX_FADV_RANDOM) !== 0) throw new Error("posix_fadvise failed");
    const queue = cut(ranges);
    await Promise.all(Array.from({ length: readers }, () => reader(handle, queue)));
  } finally {
    await handle.close();
  }
}

async function reader(handle: FileHandle, queue: Iterator<Range>): Promise<void> {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  for (let next = queue.next(); next.done !== true; next = queue.next()) {
    const { offset, byteLength } = next.value;
    const { bytesRead } = await handle.read(buffer, 0, byteLength, offset);
    if (bytesRead !== byteLength) throw new Error(`the file ends before ${offset + byteLength}`);
  }
}

function* cut(ranges: readonly Range[]): Generator<Range> {
  for (const { offset, byteLength } of ranges) {
    for (let done = 0; done < byteLength; done += READ_BYTES) {
      yield { offset: offset + done, byteLength: Math.min(READ_BYTES, byteLength - done) };
    }
  }
}
