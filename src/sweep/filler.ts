import { ARENA_BYTES, locate, type Window } from "../arena/layout.ts";
import type { Range } from "../plan/range.ts";

/** A stretch to fill: where it lies in the arenas, and in its file. Bytes. */
export interface Stretch {
  /** Index of the arena. */
  readonly arena: number;
  /** From the arena's start, before its skew. */
  readonly start: number;
  readonly byteLength: number;
  /** Index of the file. */
  readonly file: number;
  /** From the start of the file. */
  readonly offset: number;
}

/** Where a chunk lies in its file. */
export function stretchOf(windows: readonly Window[], chunk: Range): Stretch {
  const { window, fileOffset } = locate(windows, chunk.offset);
  return {
    arena: window.arena,
    start: chunk.offset % ARENA_BYTES,
    byteLength: chunk.byteLength,
    file: window.file,
    offset: fileOffset,
  };
}

/** What is left of a stretch from an offset of its file on. */
export function restOf(stretch: Stretch, offset: number): Stretch {
  const done = offset - stretch.offset;
  const { start, byteLength } = stretch;
  return { ...stretch, offset, start: start + done, byteLength: byteLength - done };
}

/** One lane's way of making a stretch resident. */
export interface Filler {
  /**
   * Blocks until the stretch is resident or the sweep is cancelled.
   *
   * @throws {@link FillFailed}, {@link FileShrank}, {@link MemoryRanShort}, {@link SystemError}, or an
   *   error of `node:fs`
   */
  fill(stretch: Stretch): void;
  /** Bytes filled so far that could not be touched. */
  readonly untouchedBytes: number;
  close(): void;
}

/** The file ends before the stretch does. */
export class FileShrank extends Error {}

/** There is no memory for what comes next. The message says what is short. */
export class MemoryRanShort extends Error {}

/** A part of a stretch could not be filled; what lies before it is. */
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
