import type { Tensor } from "../model/model.ts";
import { type ExpertUnit, forEachSlice } from "./slices.ts";

/**
 * Counts whole pages of experts that come in any order. Two slices that meet inside a page share it,
 * and one that several experts share is counted once.
 *
 * Only the pages at the edges of slices are remembered: those between belong to one slice alone. Should
 * a broken model's tensors overlap, the count is too high and never too low.
 */
export class PageCount {
  readonly #pageBytes: number;
  /** By file the pages, by number, at an edge of a slice. */
  readonly #edges = new Map<number, Set<number>>();
  readonly #shared = new Set<string>();
  #bytes = 0;

  constructor(pageBytes: number) {
    this.#pageBytes = pageBytes;
  }

  /** Bytes of the experts taken, a slice that several share counted once. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes of the pages that an expert would add. */
  cost({ layer, expert }: ExpertUnit): number {
    // File and page of the edges this expert has itself added so far: a handful.
    const own: number[] = [];
    let pages = 0;
    forEachSlice(layer, expert, (tensor, offset, byteLength, isShared) => {
      if (isShared && this.#shared.has(sharedKey(tensor, offset))) return;
      const first = Math.floor(offset / this.#pageBytes);
      const last = Math.floor((offset + byteLength - 1) / this.#pageBytes);
      const { file } = tensor;
      pages += Math.max(0, last - first - 1);
      if (this.#isNew(file, first, own)) pages++;
      if (last !== first && this.#isNew(file, last, own)) pages++;
    });
    return pages * this.#pageBytes;
  }

  take({ layer, expert }: ExpertUnit): void {
    forEachSlice(layer, expert, (tensor, offset, byteLength, isShared) => {
      if (isShared) {
        const key = sharedKey(tensor, offset);
        if (this.#shared.has(key)) return;
        this.#shared.add(key);
      }
      this.#bytes += byteLength;
      let edges = this.#edges.get(tensor.file);
      if (edges === undefined) {
        edges = new Set();
        this.#edges.set(tensor.file, edges);
      }
      edges.add(Math.floor(offset / this.#pageBytes));
      edges.add(Math.floor((offset + byteLength - 1) / this.#pageBytes));
    });
  }

  #isNew(file: number, page: number, own: number[]): boolean {
    if (this.#edges.get(file)?.has(page) === true) return false;
    for (let at = 0; at < own.length; at += 2) {
      if (own[at] === file && own[at + 1] === page) return false;
    }
    own.push(file, page);
    return true;
  }
}

/** The same for all experts that share a slice. */
export function sharedKey({ file }: Pick<Tensor, "file">, offset: number): string {
  return `${file}:${offset}`;
}
