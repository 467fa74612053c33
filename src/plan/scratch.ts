import { bindKernels, type PlanningKernels } from "../kernels/kernels.ts";
import { bindScalarKernels } from "../kernels/scalar-kernels.ts";

const WASM_PAGE_BYTES = 65_536;

/**
 * A scratch memory of up to this size is kept for the next plan; a larger one is collected as garbage. It has room for
 * 100,000 regions: where a page fault takes 17 us, as under a hypervisor without nested page tables, the faults of a
 * fresh one took four times as long as the plan itself.
 */
const KEPT_BYTES = 4 * 1024 ** 2;

/** Memory that the planning kernels work in. */
export interface Scratch {
  readonly buffer: ArrayBufferLike;
  readonly kernels: PlanningKernels;
}

let kept: Scratch | undefined;

/**
 * Memory of at least so many bytes, with the kernels bound to it. Planning is synchronous, so all plans of
 * a thread use the same memory; it still holds what the last plan wrote.
 *
 * It has a fixed size: a memory that can grow to 4 GiB takes that many addresses, which counts towards
 * `ulimit -v`.
 */
export function takeScratch(byteLength: number): Scratch {
  if (kept !== undefined && kept.buffer.byteLength >= byteLength) return kept;
  const scratch = makeScratch(byteLength);
  if (byteLength <= KEPT_BYTES) kept = scratch;
  return scratch;
}

/** In WebAssembly, or in TypeScript where there is no WebAssembly or no address space for it. */
export function makeScratch(byteLength: number): Scratch {
  // A power of two, so that a few slightly larger plans do not make a memory each.
  const pages = 2 ** Math.ceil(Math.log2(Math.max(1, byteLength / WASM_PAGE_BYTES)));
  try {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    return { buffer: memory.buffer, kernels: bindKernels(memory) };
  } catch {
    const buffer = new ArrayBuffer(pages * WASM_PAGE_BYTES);
    return { buffer, kernels: bindScalarKernels(buffer) };
  }
}
