import { flatRanges, type Layout } from "../arena/layout.ts";
import type { Part } from "../plan/parts.ts";
import type { Plan } from "../plan/plan.ts";
import type { Range } from "../plan/range.ts";
import type { RangeTable } from "../plan/range-table.ts";
import type { FileRegion } from "../plan/region.ts";

/** The chunks of a sweep in the order in which its parts need them. */
export interface Schedule {
  readonly chunks: RangeTable;
  /** Indices of the chunks that hold bytes of some regions. A budget may leave regions without any. */
  chunksOf(regions: readonly FileRegion[]): number[];
  /** Whether the chunks hold every byte of some regions. */
  cover(regions: readonly FileRegion[]): boolean;
}

/** Orders chunks by the parts that need them. A chunk that two parts share comes with the earlier one. */
export function schedule(
  chunks: RangeTable,
  layout: Layout,
  plan: Plan,
  parts: readonly Part[],
): Schedule {
  const ranges = Array.from({ length: chunks.length }, (_, index) => chunks.at(index));

  const flat = (region: FileRegion) => {
    if (!plan.has(region.path)) return [];
    const { index, range } = plan.locate(region);
    return flatRanges(layout.extents, index, range);
  };
  const inFileOrder = (regions: readonly FileRegion[]) =>
    regions.flatMap(flat).flatMap((range) => overlapping(ranges, range));
  const bytesInChunks = (range: Range) =>
    overlapping(ranges, range).reduce((sum, chunk) => sum + common(chunks.at(chunk), range), 0);

  const order = [
    ...new Set([...parts.flatMap((part) => inFileOrder(part.regions)), ...ranges.keys()]),
  ];
  const place = new Map(order.map((chunk, index) => [chunk, index]));
  return {
    chunks: chunks.reordered(order),
    chunksOf: (regions) =>
      [...new Set(inFileOrder(regions))].map((chunk) => place.get(chunk) ?? chunk),
    cover: (regions) =>
      regions.every((region) => {
        const bytes = flat(region).reduce((sum, range) => sum + bytesInChunks(range), 0);
        return plan.has(region.path) && bytes >= plan.locate(region).range.byteLength;
      }),
  };
}

/** Bytes that two ranges have in common. */
function common(one: Range, other: Range): number {
  const end = Math.min(one.offset + one.byteLength, other.offset + other.byteLength);
  return Math.max(0, end - Math.max(one.offset, other.offset));
}

/** Indices of the chunks that a range overlaps. @param chunks sorted by offset */
function overlapping(chunks: readonly Range[], range: Range): number[] {
  const end = range.offset + range.byteLength;
  let low = 0;
  for (let high = chunks.length; low < high; ) {
    const middle = (low + high) >>> 1;
    const chunk = chunks[middle];
    if (chunk !== undefined && chunk.offset + chunk.byteLength <= range.offset) low = middle + 1;
    else high = middle;
  }
  const found: number[] = [];
  for (let index = low; (chunks[index]?.offset ?? Number.POSITIVE_INFINITY) < end; index++) {
    found.push(index);
  }
  return found;
}
