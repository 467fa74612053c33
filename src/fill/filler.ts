import { ARENA_BYTES, type Extent, locate } from "../arena/layout.ts";
import type { Range } from "../plan/range.ts";

/** A chunk to fill: its place in the arenas, and in its file. Bytes. */
export interface Chunk {
  /** Index of the arena. */
  readonly arena: number;
  /** From the arena's start, before the arena's alignOffset is added. */
  readonly start: number;
  readonly byteLength: number;
  /** Index of the file. */
  readonly file: number;
  /** From the start of the file. */
  readonly offset: number;
}

/** Finds the extent, the file and the file offset of a chunk that is given by its flat offset. */
export function locateChunk(extents: readonly Extent[], chunk: Range): Chunk {
  const { extent, fileOffset } = locate(extents, chunk.offset);
  return {
    arena: extent.arena,
    start: chunk.offset % ARENA_BYTES,
    byteLength: chunk.byteLength,
    file: extent.file,
    offset: fileOffset,
  };
}

/** The rest of a chunk, from an offset of its file on. */
export function restOf(chunk: Chunk, offset: number): Chunk {
  const done = offset - chunk.offset;
  const { start, byteLength } = chunk;
  return { ...chunk, offset, start: start + done, byteLength: byteLength - done };
}

/** Makes chunks resident, for one worker. */
export interface Filler {
  /**
   * Blocks until the chunk is resident or the sweep is cancelled.
   *
   * @throws {@link FillFailed}, {@link FileShrank}, {@link MemoryRanShort}, {@link SystemError}, or an
   *   error of `node:fs`
   */
  fill(chunk: Chunk): void;
  /** Bytes that were filled so far and not touched. */
  readonly untouchedBytes: number;
  close(): void;
}

/** The file ends before the chunk does. */
export class FileShrank extends Error {}

/** A part of a chunk could not be filled; what lies before it is. */
export class FillFailed extends Error {
  /** Bytes from the start of the file, where the failing part begins. */
  readonly offset: number;
  readonly byteLength: number;

  constructor(offset: number, byteLength: number, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.offset = offset;
    this.byteLength = byteLength;
  }
}
