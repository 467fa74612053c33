import { type FileHandle, open } from "node:fs/promises";
import { bindExtra } from "../../shims/libc.ts";

const POSIX_FADV_RANDOM = 1; // linux/fadvise.h

/** As long as a piece that a device takes at once, and short enough for several at a time. */
const PIECE_BYTES = 2 * 1024 ** 2;

/** Bytes of a file. */
export interface Piece {
  readonly offset: number;
  readonly byteLength: number;
}

const fadvise = bindExtra<(fd: number, offset: number, bytes: number, advice: number) => number>(
  "int posix_fadvise(int fd, int64_t offset, int64_t bytes, int advice)",
);

/**
 * Reads these bytes of a file, in this order, and no page more: on a descriptor that was told of random
 * reads the kernel reads nothing ahead, and takes pages of the smallest size.
 *
 * @param readers how many reads are under way at a time; libuv has four threads
 */
export async function readExactly(
  path: string,
  pieces: readonly Piece[],
  readers = 4,
): Promise<void> {
  const handle = await open(path);
  try {
    if (fadvise(handle.fd, 0, 0, POSIX_FADV_RANDOM) !== 0) throw new Error("posix_fadvise failed");
    const queue = cut(pieces);
    await Promise.all(Array.from({ length: readers }, () => reader(handle, queue)));
  } finally {
    await handle.close();
  }
}

async function reader(handle: FileHandle, queue: Iterator<Piece>): Promise<void> {
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  for (let next = queue.next(); next.done !== true; next = queue.next()) {
    const { offset, byteLength } = next.value;
    const { bytesRead } = await handle.read(buffer, 0, byteLength, offset);
    if (bytesRead !== byteLength) throw new Error(`the file ends before ${offset + byteLength}`);
  }
}

function* cut(pieces: readonly Piece[]): Generator<Piece> {
  for (const { offset, byteLength } of pieces) {
    for (let done = 0; done < byteLength; done += PIECE_BYTES) {
      yield { offset: offset + done, byteLength: Math.min(PIECE_BYTES, byteLength - done) };
    }
  }
}
