import type { Range } from "../plan/range.ts";
import { RangeList, type Ranges, RangeTable } from "../plan/range-table.ts";

/** What a wasm32 memory addresses. */
export const ARENA_BYTES = 2 ** 32;

/**
 * The largest folio: file offset and address have to agree modulo this for one page-table entry to
 * map it whole (x86-64, and arm64 with 4 KiB pages).
 */
export const FOLIO_BYTES = 2 * 1024 ** 2;

/** The first folio's worth holds the control page; the last two leave room for the arena's skew. */
const FIRST = FOLIO_BYTES;
const LAST = ARENA_BYTES - 2 * FOLIO_BYTES;

/**
 * Ranges closer than this share a window. A gap that is mapped and not touched costs addresses only,
 * while each window is a mapping of the process, of which Linux allows 65,530.
 */
const GAP_BYTES = 64 * 1024 ** 2;

/** Less room than this at an arena's end is left alone: a window worth its mapping starts afresh. */
const LEAST_ROOM_BYTES = 64 * 1024 ** 2;

/** A stretch of a file laid into an arena. */
export interface Window {
  readonly arena: number;
  /** Where it begins in the arena, in bytes, before the arena's skew is added. */
  readonly start: number;
  /** Index of the file. */
  readonly file: number;
  /** Where it begins in the file, a multiple of {@link FOLIO_BYTES}. */
  readonly offset: number;
  readonly byteLength: number;
}

/**
 * Where each range of each file lies. A *flat* offset names a byte of any arena with one number:
 * `arena * ARENA_BYTES + start`, so that the planning kernels need to know nothing of arenas.
 */
export interface Layout {
  readonly arenas: number;
  /** By arena, then by start. */
  readonly windows: readonly Window[];
  /** The ranges again, flat, each within one window. In the order of the files. */
  readonly pieces: RangeTable;
}

/**
 * Lays ranges into as few arenas as hold them. Pure: it maps nothing.
 *
 * ```
 *   file     ....[=====]..[==]..............................[=========]...
 *   arena 0  |ctl|  [=====]..[==]  [=========]              |skew|
 *                   \__ window __/ \_ window_/
 * ```
 *
 * @param files for each file its ranges: page-aligned, sorted; they may share pages
 * @param whole whether a range that fits an arena must not be cut in two
 */
export function layOut(files: readonly Ranges[], whole = false): Layout {
  const windows: Window[] = [];
  const pieces = new RangeList();
  let arena = 0;
  let next = FIRST;

  for (const [file, ranges] of files.entries()) {
    let index = 0;
    const take = () => (index < ranges.length ? ranges.at(index++) : undefined);
    for (let range = take(); range !== undefined; ) {
      const offset = roundDown(range.offset, FOLIO_BYTES);
      const room = LAST - next;
      const needed = range.offset + range.byteLength - offset;
      const mayCut = room >= LEAST_ROOM_BYTES && (!whole || needed > LAST - FIRST);
      if (needed > room && !mayCut) {
        arena += 1;
        next = FIRST;
        continue;
      }
      let stop = offset;
      while (range !== undefined && range.offset - stop <= GAP_BYTES) {
        const fits: number = Math.min(range.offset + range.byteLength, offset + room);
        const left: number = range.offset + range.byteLength - fits;
        if (fits <= range.offset || (left > 0 && !mayCut)) break;
        const start = next + (range.offset - offset);
        pieces.push(arena * ARENA_BYTES + start, fits - range.offset);
        // Ranges of tensors that a hostile header lays over one another need not end in order.
        stop = Math.max(stop, fits);
        range = left > 0 ? { offset: fits, byteLength: left } : take();
        if (left > 0) break;
      }
      windows.push({ arena, start: next, file, offset, byteLength: stop - offset });
      next = roundUp(next + (stop - offset), FOLIO_BYTES);
    }
  }
  const arenas = windows.length === 0 ? 0 : arena + 1;
  return { arenas, windows, pieces: RangeTable.copyOf(pieces.words) };
}

/** The window a flat offset lies in, and where in the file that is. */
export function locate(
  windows: readonly Window[],
  flat: number,
): { window: Window; fileOffset: number } {
  const arena = Math.floor(flat / ARENA_BYTES);
  const start = flat % ARENA_BYTES;
  const window = windows.findLast((each) => each.arena === arena && each.start <= start);
  if (window === undefined) throw new RangeError(`no window at ${flat}`);
  return { window, fileOffset: window.offset + (start - window.start) };
}

/**
 * Where a range of a file lies, as consecutive flat ranges: one whenever a window holds it whole.
 * Windows begin at a whole folio, so the end of a tensor may lie in two of them.
 */
export function spansOf(windows: readonly Window[], file: number, range: Range): Range[] {
  const end = range.offset + range.byteLength;
  const spans: Range[] = [];
  for (let at = range.offset; at < end; ) {
    const reach = ({ offset, byteLength }: Window) => Math.min(end, offset + byteLength);
    const window = windows
      .filter((each) => each.file === file && each.offset <= at && reach(each) > at)
      .reduce<Window | undefined>(
        (best, each) => (best && reach(best) >= reach(each) ? best : each),
        undefined,
      );
    if (window === undefined) throw new RangeError(`byte ${at} of file ${file} is not laid out`);
    const start = window.start + (at - window.offset);
    spans.push({ offset: window.arena * ARENA_BYTES + start, byteLength: reach(window) - at });
    at = reach(window);
  }
  return spans;
}

/** Every flat range a part of which belongs to a range of a file. */
export function flatRanges(windows: readonly Window[], file: number, range: Range): Range[] {
  const end = range.offset + range.byteLength;
  return windows.flatMap((window) => {
    if (window.file !== file) return [];
    const from = Math.max(range.offset, window.offset);
    const to = Math.min(end, window.offset + window.byteLength);
    if (from >= to) return [];
    const start = window.start + (from - window.offset);
    return [{ offset: window.arena * ARENA_BYTES + start, byteLength: to - from }];
  });
}

function roundDown(value: number, unit: number): number {
  return value - (value % unit);
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
