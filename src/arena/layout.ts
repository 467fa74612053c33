import type { Range } from "../plan/range.ts";
import { RangeList, type Ranges, RangeTable } from "../plan/range-table.ts";

/** What a wasm32 memory addresses. */
export const ARENA_BYTES = 2 ** 32;

/**
 * The largest folio: file offset and address have to agree modulo this for one page-table entry to
 * map it whole (x86-64, and arm64 with 4 KiB pages).
 */
export const PMD_BYTES = 2 * 1024 ** 2;

/** The first folio's worth holds the control page; the last two leave room for the arena's alignOffset. */
const FIRST = PMD_BYTES;
const LAST = ARENA_BYTES - 2 * PMD_BYTES;

/**
 * Ranges closer than this share a extent. A gap that is mapped and not touched costs addresses only,
 * while each extent is a mapping of the process, of which Linux allows 65,530.
 */
const GAP_BYTES = 64 * 1024 ** 2;

/** Less room than this at an arena's end is left alone: a extent worth its mapping starts afresh. */
const LEAST_ROOM_BYTES = 64 * 1024 ** 2;

/** A chunk of a file laid into an arena. */
export interface Extent {
  readonly arena: number;
  /** Where it begins in the arena, in bytes, before the arena's alignOffset is added. */
  readonly start: number;
  /** Index of the file. */
  readonly file: number;
  /** Where it begins in the file, a multiple of {@link PMD_BYTES}. */
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
  readonly extents: readonly Extent[];
  /** The ranges again, flat, each within one extent. In the order of the files. */
  readonly ranges: RangeTable;
}

/**
 * Lays ranges into as few arenas as hold them. Pure: it maps nothing.
 *
 * ```
 *   file     ....[=====]..[==]..............................[=========]...
 *   arena 0  |ctl|  [=====]..[==]  [=========]              |alignOffset|
 *                   \__ extent __/ \_ window_/
 * ```
 *
 * @param files for each file its ranges: page-aligned, sorted; they may share pages
 * @param whole whether a range that fits an arena must not be cut in two
 */
export function layOut(files: readonly Ranges[], whole = false): Layout {
  const extents: Extent[] = [];
  const flat = new RangeList();
  let arena = 0;
  let next = FIRST;

  for (const [file, ranges] of files.entries()) {
    let index = 0;
    const take = () => (index < ranges.length ? ranges.at(index++) : undefined);
    for (let range = take(); range !== undefined; ) {
      const offset = roundDown(range.offset, PMD_BYTES);
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
        flat.push(arena * ARENA_BYTES + start, fits - range.offset);
        // Ranges of tensors that a hostile header lays over one another need not end in order.
        stop = Math.max(stop, fits);
        range = left > 0 ? { offset: fits, byteLength: left } : take();
        if (left > 0) break;
      }
      extents.push({ arena, start: next, file, offset, byteLength: stop - offset });
      next = roundUp(next + (stop - offset), PMD_BYTES);
    }
  }
  const arenas = extents.length === 0 ? 0 : arena + 1;
  return { arenas, extents, ranges: RangeTable.copyOf(flat.words) };
}

/** The extent a flat offset lies in, and where in the file that is. */
export function locate(
  extents: readonly Extent[],
  flat: number,
): { extent: Extent; fileOffset: number } {
  const arena = Math.floor(flat / ARENA_BYTES);
  const start = flat % ARENA_BYTES;
  const extent = extents.findLast((each) => each.arena === arena && each.start <= start);
  if (extent === undefined) throw new RangeError(`no extent at ${flat}`);
  return { extent, fileOffset: extent.offset + (start - extent.start) };
}

/**
 * Where a range of a file lies, as consecutive flat ranges: one whenever a extent holds it whole.
 * Windows begin at a whole folio, so the end of a tensor may lie in two of them.
 */
export function spansOf(extents: readonly Extent[], file: number, range: Range): Range[] {
  const end = range.offset + range.byteLength;
  const spans: Range[] = [];
  for (let at = range.offset; at < end; ) {
    const reach = ({ offset, byteLength }: Extent) => Math.min(end, offset + byteLength);
    const extent = extents
      .filter((each) => each.file === file && each.offset <= at && reach(each) > at)
      .reduce<Extent | undefined>(
        (best, each) => (best && reach(best) >= reach(each) ? best : each),
        undefined,
      );
    if (extent === undefined) throw new RangeError(`byte ${at} of file ${file} is not laid out`);
    const start = extent.start + (at - extent.offset);
    spans.push({ offset: extent.arena * ARENA_BYTES + start, byteLength: reach(extent) - at });
    at = reach(extent);
  }
  return spans;
}

/** Every flat range a part of which belongs to a range of a file. */
export function flatRanges(extents: readonly Extent[], file: number, range: Range): Range[] {
  const end = range.offset + range.byteLength;
  return extents.flatMap((extent) => {
    if (extent.file !== file) return [];
    const from = Math.max(range.offset, extent.offset);
    const to = Math.min(end, extent.offset + extent.byteLength);
    if (from >= to) return [];
    const start = extent.start + (from - extent.offset);
    return [{ offset: extent.arena * ARENA_BYTES + start, byteLength: to - from }];
  });
}

function roundDown(value: number, unit: number): number {
  return value - (value % unit);
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
