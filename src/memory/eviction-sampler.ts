import { fstatSync } from "node:fs";
import type { Shim } from "../../shims/index.ts";
import type { FileSource } from "../file/open-file.ts";

/** A sample is so many bytes at the end of a chunk, the bytes that were filled last. */
const SAMPLE_BYTES = 1024 ** 2;

/** The most samples, spread evenly over the chunks that are done. */
const MOST_SAMPLES = 16;

/**
 * The share of the sampled bytes that must be evicted for a sweep to stop. A system that pages out idle
 * memory in the background (DAMON) evicts a few percent. A sweep that evicts its own pages reaches this
 * share when it has read a third more than there is room for.
 */
const GONE_SHARE = 0.25;

/** Time between two looks: each costs about 5 µs a sample, more than a small chunk takes. */
const LOOK_MS = 10;

/** A filled range of a file. Bytes. */
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
  /** Resident bytes of the sample when it was filled. */
  readonly residentBytes: number;
}

function hasShrunk({ fd, byteLength }: FileSource): boolean {
  return fstatSync(fd).size < byteLength;
}

/** Samples what a worker has filled, and checks whether the samples are still resident. */
export class EvictionSampler {
  readonly #files: readonly FileSource[];
  readonly #shim: Shim;
  #samples: Sample[] = [];
  /** One of so many chunks is a sample. */
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
    // `null` where residency is unknown: then there is nothing to compare later.
    const residentBytes = this.#shim.residentBytes(file, offset, byteLength);
    if (residentBytes === null) return;
    this.#samples.push({ file, offset, byteLength, residentBytes });
    if (this.#samples.length <= MOST_SAMPLES) return;
    this.#samples = this.#samples.filter((_, index) => index % 2 === 1);
    this.#stride *= 2;
  }

  /** @returns the reason to stop the sweep; `null` when it should go on */
  look(): string | null {
    const now = performance.now();
    if (this.#samples.length < 2 || now - this.#lookedMs < LOOK_MS) return null;
    this.#lookedMs = now;
    const sum = (of: (sample: Sample) => number) =>
      this.#samples.reduce((total, sample) => total + of(sample), 0);
    const before = sum((sample) => sample.residentBytes);
    const after = sum(({ file, offset, byteLength }) =>
      // A sample may have become more resident: another program may have read it.
      Math.min(this.#shim.residentBytes(file, offset, byteLength) ?? 0, byteLength),
    );
    const gone = 1 - after / before;
    // A truncated file has lost pages too; the next fill reports that.
    if (!(gone > GONE_SHARE) || this.#files.some(hasShrunk)) return null;
    return `${Math.round(gone * 100)} % of what was read first is evicted again`;
  }
}
