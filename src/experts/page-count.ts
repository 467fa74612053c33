import type { ExpertSlice } from "./slices.ts";

/**
 * Counts whole pages of slices that come in any order. Two slices that meet inside a page share it,
 * and one that several experts share is counted once.
 *
 * Only the pages at the edges of slices are remembered: those between belong to one slice alone. Should
 * a broken model's tensors overlap, the count is too high and never too low.
 */
export class PageCount {
  readonly #pageBytes: number;
  /** By file the pages, by number, at an edge of a slice. */
  readonly #edges = new Map<number, Set<number>>();
  readonly #shared = new Set<ExpertSlice>();

  constructor(pageBytes: number) {
    this.#pageBytes = pageBytes;
  }

  /** Bytes of the pages that these slices would add, which are those of one expert. */
  cost(slices: readonly ExpertSlice[]): number {
    let pages = 0;
    for (let index = 0; index < slices.length; index++) {
      const slice = slices[index];
      if (slice === undefined || (slice.isShared && this.#shared.has(slice))) continue;
      const first = this.#firstPage(slice);
      const last = this.#lastPage(slice);
      pages += Math.max(0, last - first - 1);
      if (!this.#isEdge(slice.file, first, slices, index)) pages++;
      if (last !== first && !this.#isEdge(slice.file, last, slices, index)) pages++;
    }
    return pages * this.#pageBytes;
  }

  take(slices: readonly ExpertSlice[]): void {
    for (const slice of slices) {
      if (slice.isShared) this.#shared.add(slice);
      const edges = this.#edges.get(slice.file) ?? new Set();
      this.#edges.set(slice.file, edges);
      edges.add(this.#firstPage(slice)).add(this.#lastPage(slice));
    }
  }

  /** Whether the page is counted already, or is an edge of one of the first `end` slices. */
  #isEdge(file: number, page: number, slices: readonly ExpertSlice[], end: number): boolean {
    if (this.#edges.get(file)?.has(page) === true) return true;
    for (let earlier = 0; earlier < end; earlier++) {
      const other = slices[earlier];
      if (other === undefined || other.file !== file) continue;
      if (this.#firstPage(other) === page || this.#lastPage(other) === page) return true;
    }
    return false;
  }

  #firstPage({ offset }: ExpertSlice): number {
    return Math.floor(offset / this.#pageBytes);
  }

  #lastPage({ offset, byteLength }: ExpertSlice): number {
    return Math.floor((offset + byteLength - 1) / this.#pageBytes);
  }
}
