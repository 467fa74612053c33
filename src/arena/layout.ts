import type { Range } from "../plan/range.ts";
import { RangeList, type Ranges, RangeTable } from "../plan/range-table.ts";

/** The address space of a wasm32 memory. */
export const ARENA_BYTES = 2 ** 32;

/**
 * The size that one PMD entry of the page table maps, and of the largest folio: file offset and address
 * have to agree modulo this (x86-64, and arm64 with 4 KiB pages).
 */
export const PMD_BYTES = 2 * 1024 ** 2;

/** The first 2 MiB hold the control page; the last 4 MiB are room for the arena's alignOffset. */
const FIRST = PMD_BYTES;
const LAST = ARENA_BYTES - 2 * PMD_BYTES;

/**
 * Ranges closer than this share an extent. A gap that is mapped and not touched takes addresses only,
 * while each extent is a mapping, and Linux allows a process 65,530 of them.
 */
const GAP_BYTES = 64 * 1024 ** 2;

/** With less room than this at an arena's end, the next extent starts in a new arena. */
const LEAST_ROOM_BYTES = 64 * 1024 ** 2;

/** A part of a file that is mapped into an arena as one mapping. */
export interface Extent {
  readonly arena: number;
  /** Its start in the arena, in bytes, before the arena's alignOffset is added. */
  readonly start: number;
  /** Index of the file. */
  readonly file: number;
  /** Its start in the file, in bytes, a multiple of {@link PMD_BYTES}. */
  readonly offset: number;
  readonly byteLength: number;
}

/**
 * The places of ranges of files in arenas. A *flat* offset is one number for a byte of any arena,
 * `arena * ARENA_BYTES + start`, so that the planning kernels need not know arenas.
 */
export interface Layout {
  readonly arenas: number;
  /** By arena, then by start. */
  readonly extents: readonly Extent[];
  /** The ranges again, flat, each within one extent. In the order of the files. */
  readonly ranges: RangeTable;
}

/**
 * Lays ranges out in as few arenas as possible. Pure: it maps nothing.
 *
 * ```
 *   file     ....[=====]..[==]..............................[=========]...
 *   arena 0  |ctl|  [=====]..[==]  [=========]              |alignOffset|
 *                   \__ extent __/ \_ extent _/
 * ```
 *
 * @param files for each file its ranges: page-aligned, sorted; they may share pages
 * @param whole whether a range that fits into one arena must not be cut in two
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
        // A hostile header may have tensors that overlap, so that their ends are not in order.
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

/** The extent of a flat offset, and the offset in its file. */
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
 * The flat ranges of a range of a file, in order and without overlap: one when a single extent holds it.
 * Extents begin at multiples of 2 MiB, so that neighbours may both hold the end of a tensor.
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

/** Every part of every extent that belongs to a range of a file: bytes in two extents come twice. */
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
