import { fstatSync } from "node:fs";
import type { Shim } from "../../shims/index.ts";
import type { FileSource } from "../file/open-file.ts";

/** Of each chunk that is looked at again, so much at its end: what was filled last. */
const SAMPLE_BYTES = 1024 ** 2;

/** How many chunks are looked at again, spread evenly over those that are done. */
const MOST_SAMPLES = 16;

/**
 * The share of the samples that has to be gone. A system that pages out what is idle in the
 * background takes a few percent (DAMON); a sweep that evicts itself comes here as soon as it has read
 * a third more than there is room for.
 */
const GONE_SHARE = 0.25;

/** At most so often: a look costs about 5 µs a sample, and tiny chunks are done in less. */
const LOOK_MS = 10;

/** What was filled of a file. Bytes. */
export interface FilledRange {
  /** Index of the file. */
  readonly file: number;
  readonly offset: number;
  readonly byteLength: number;
}

interface Sample {
  readonly file: FileSource;
  readonly offset: number;
  readonly byteLength: number;
  /** Of it, when it was filled. */
  readonly residentBytes: number;
}

function hasShrunk({ fd, byteLength }: FileSource): boolean {
  return fstatSync(fd).size < byteLength;
}

/** Samples what a worker has filled, and finds out whether it is still resident. */
export class EvictionSampler {
  readonly #files: readonly FileSource[];
  readonly #shim: Shim;
  #samples: Sample[] = [];
  /** Every so many chunks one is a sample. */
  #stride = 1;
  #chunks = 0;
  #lookedMs = 0;

  constructor(files: readonly FileSource[], shim: Shim) {
    this.#files = files;
    this.#shim = shim;
  }

  add(filled: FilledRange): void {
    this.#chunks += 1;
    if (this.#chunks % this.#stride !== 0) return;
    const file = this.#files[filled.file];
    if (file === undefined) return;
    const byteLength = Math.min(SAMPLE_BYTES, filled.byteLength);
    const offset = filled.offset + filled.byteLength - byteLength;
    // `null` where the system will not say: then there is nothing to look at later.
    const residentBytes = this.#shim.residentBytes(file, offset, byteLength);
    if (residentBytes === null) return;
    this.#samples.push({ file, offset, byteLength, residentBytes });
    if (this.#samples.length <= MOST_SAMPLES) return;
    this.#samples = this.#samples.filter((_, index) => index % 2 === 1);
    this.#stride *= 2;
  }

  /** Why it is no use to go on; `null` when it is. */
  look(): string | null {
    const now = performance.now();
    if (this.#samples.length < 2 || now - this.#lookedMs < LOOK_MS) return null;
    this.#lookedMs = now;
    const sum = (of: (sample: Sample) => number) =>
      this.#samples.reduce((total, sample) => total + of(sample), 0);
    const before = sum((sample) => sample.residentBytes);
    const after = sum(({ file, offset, byteLength }) =>
      // More than before where someone else read it.
      Math.min(this.#shim.residentBytes(file, offset, byteLength) ?? 0, byteLength),
    );
    const gone = 1 - after / before;
    // What was cut off is gone as well; that is for the next fill to tell.
    if (!(gone > GONE_SHARE) || this.#files.some(hasShrunk)) return null;
    return `${Math.round(gone * 100)} % of what was read first is evicted again`;
  }
}
