import { bindKernels, type PlanningKernels } from "../../src/kernels/kernels.ts";
import { bindScalarKernels } from "../../src/kernels/scalar-kernels.ts";
import type { Region } from "./kernel-twins.ts";

const REGION_WORDS = 2;

/** Bytes of a region in memory. */
export const REGION_BYTES = 16;

/** What stands in memory where no region was written. */
export const UNTOUCHED: Region = { offset: 2n ** 64n - 1n, byteLength: 2n ** 64n - 1n };

/** The planning kernels there are: what one does, the other does. */
export const KERNEL_KINDS = ["WebAssembly", "TypeScript"] as const;

/** A memory with the planning kernels bound to it, seen as regions. */
export class RegionMemory {
  readonly kernels: PlanningKernels;
  readonly #words: BigUint64Array;

  constructor(kind: (typeof KERNEL_KINDS)[number]) {
    const memory = new WebAssembly.Memory({ initial: 16, maximum: 16, shared: true });
    this.kernels = kind === "WebAssembly" ? bindKernels(memory) : bindScalarKernels(memory.buffer);
    this.#words = new BigUint64Array(memory.buffer);
    this.clear();
  }

  clear(): void {
    this.#words.fill(UNTOUCHED.offset);
  }

  store(address: number, regions: readonly Region[]): void {
    regions.forEach(({ offset, byteLength }, index) => {
      this.#words[address / 8 + index * REGION_WORDS] = offset;
      this.#words[address / 8 + index * REGION_WORDS + 1] = byteLength;
    });
  }

  load(address: number, count: number): Region[] {
    return Array.from({ length: count }, (_, index) => {
      const at = address / 8 + index * REGION_WORDS;
      return { offset: this.#words[at] ?? 0n, byteLength: this.#words[at + 1] ?? 0n };
    });
  }
}
