import { pagesOf } from "../plan/range.ts";
import type { ExpertSlice } from "./slices.ts";

/** What adding some slices would cost. */
export interface Addition {
  /** Bytes of pages that are not counted yet. */
  readonly bytes: number;
  /** Counts the pages as taken. */
  take(): void;
}

/**
 * Counts whole pages of slices that come in any order. Two slices that meet inside a page share it,
 * and one that several experts share is counted once.
 *
 * Only the pages at the edges of slices are remembered: those between belong to one slice alone. Should
 * a broken model's tensors overlap, the count is too high and never too low.
 */
export class PageCount {
  readonly #pageBytes: number;
  /** By file: the first bytes of pages at an edge of a slice, and of slices. */
  readonly #edges = new Map<number, Set<number>>();
  readonly #slices = new Map<number, Set<number>>();

  constructor(pageBytes: number) {
    this.#pageBytes = pageBytes;
  }

  add(slices: readonly ExpertSlice[]): Addition {
    const added: { known: Set<number>; at: number }[] = [];
    const isNew = (known: Set<number>, at: number): boolean => {
      if (known.has(at)) return false;
      known.add(at);
      added.push({ known, at });
      return true;
    };
    let bytes = 0;
    for (const slice of slices) {
      if (!isNew(setOf(this.#slices, slice.file), slice.offset)) continue;
      bytes += this.#newBytes(slice, isNew);
    }
    // Tried on the real sets, since the slices of one expert may share a page as well.
    for (const { known, at } of added) known.delete(at);
    return {
      bytes,
      take: () => {
        for (const { known, at } of added) known.add(at);
      },
    };
  }

  #newBytes(slice: ExpertSlice, isNew: (known: Set<number>, at: number) => boolean): number {
    const { offset, byteLength } = pagesOf(slice, this.#pageBytes);
    if (byteLength === 0) return 0;
    const edges = setOf(this.#edges, slice.file);
    const last = offset + byteLength - this.#pageBytes;
    const inner = Math.max(0, byteLength - 2 * this.#pageBytes);
    const atStart = isNew(edges, offset) ? this.#pageBytes : 0;
    const atEnd = isNew(edges, last) ? this.#pageBytes : 0;
    return inner + atStart + atEnd;
  }
}

function setOf(sets: Map<number, Set<number>>, file: number): Set<number> {
  const known = sets.get(file);
  if (known !== undefined) return known;
  const made = new Set<number>();
  sets.set(file, made);
  return made;
}
