import assert from "node:assert/strict";
import fc from "fast-check";
import { ArenaControl, sharedBuffer } from "../../../src/control/arena-control.ts";
import { bindKernels } from "../../../src/kernels/kernels.ts";
import { arbitraryRegions } from "../../helpers/arbitrary-regions.ts";
import {
  cutChunks,
  mergeRegions,
  type Region,
  sortRegions,
  touchPages,
} from "../../helpers/kernel-twins.ts";
import { REGION_BYTES, RegionMemory } from "../../helpers/region-memory.ts";
import type { GuestCase } from "./guest.ts";

const AT = 1024;
const RUNS = { numRuns: 100 };

/** The WASM kernels on this processor's own compiler, against their scalar twins. */
export const wasmCases: readonly GuestCase[] = [
  {
    name: "WASM sorts, merges and cuts regions like its scalar twins",
    async run() {
      const memory = new RegionMemory("WebAssembly");
      const { kernels } = memory;
      const check = (agrees: Parameters<typeof compare>[0]) => fc.assert(compare(agrees), RUNS);
      check((regions) => {
        memory.store(AT, regions);
        const at = kernels.sort_regions(AT, regions.length, AT + regions.length * REGION_BYTES);
        assert.deepEqual(memory.load(at, regions.length), sortRegions(regions));
      });
      for (const pageBytes of [4096, 16_384, 65_536]) {
        check((regions) => {
          const sorted = sortRegions(regions);
          memory.store(AT, sorted);
          const count = kernels.merge_regions(AT, sorted.length, pageBytes);
          assert.deepEqual(memory.load(AT, count), mergeRegions(sorted, pageBytes));
        });
      }
      const [chunksAt, most] = [65_536, 1000];
      check((regions) => {
        const near = regions.map((region) => ({
          ...region,
          byteLength: region.byteLength % 2n ** 34n,
        }));
        memory.store(AT, near);
        const expected = cutChunks(near, 2 ** 30);
        const count = kernels.cut_chunks(AT, near.length, chunksAt, most, 2 ** 30);
        assert.equal(count, expected.length);
        assert.deepEqual(memory.load(chunksAt, Math.min(count, most)), expected.slice(0, most));
      });
    },
  },
  {
    name: "WASM touches pages like its scalar twin",
    async run({ kernel }) {
      const first = 65_536;
      const memory = new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true });
      const bytes = new Uint8Array(sharedBuffer(memory));
      const control = new ArenaControl(sharedBuffer(memory));
      const { touch_pages } = bindKernels(memory);
      for (let at = first; at < bytes.length; at++) bytes[at] = (at * 2_654_435_761) >>> 24;
      const place = fc.integer({ min: first, max: bytes.length });
      const property = fc.property(place, place, (a, b) => {
        const [address, byteLength] = [Math.min(a, b), Math.abs(a - b)];
        control.reset();
        const expected = touchPages(bytes, address, byteLength, kernel.pageBytes);
        assert.equal(touch_pages(address, byteLength, kernel.pageBytes), BigInt(expected));
        assert.equal(control.progress, byteLength);
      });
      fc.assert(property, RUNS);
    },
  },
];

const compare = (agrees: (regions: Region[]) => void) =>
  // Objects with a prototype, as those that come out of memory.
  fc.property(arbitraryRegions, (regions) => agrees(regions.map((region) => ({ ...region }))));
