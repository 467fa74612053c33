import { KERNELS_BASE64 } from "./kernels.generated.ts";

/** The kernels that planning uses. Addresses and lengths are bytes in the memory they are bound to. */
export interface PlanningKernels {
  sort_regions(regions: number, count: number, scratch: number): number;
  merge_regions(regions: number, count: number, pageBytes: number): number;
  cut_chunks(
    regions: number,
    count: number,
    chunks: number,
    capacity: number,
    chunkBytes: number,
  ): number;
}

/**
 * The kernels of `assembly/`, bound to one memory. Addresses and lengths are bytes in that memory; the
 * comment of each kernel gives their bounds.
 */
export interface Kernels extends PlanningKernels {
  touch_pages(address: number, byteLength: number, pageBytes: number): bigint;
}

let compiled: WebAssembly.Module | undefined;

/**
 * Binds the kernels to a shared memory. The module is compiled once a thread; it is about 1 KiB.
 *
 * @throws ReferenceError where there is no WebAssembly, RangeError where there is no memory for code
 */
export function bindKernels(memory: WebAssembly.Memory): Kernels {
  compiled ??= new WebAssembly.Module(Buffer.from(KERNELS_BASE64, "base64"));
  const instance = new WebAssembly.Instance(compiled, { env: { memory } });
  return instance.exports as unknown as Kernels;
}
