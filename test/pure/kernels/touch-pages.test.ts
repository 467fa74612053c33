import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { sharedBuffer } from "../../../src/control/arena-control.ts";
import { SweepControl } from "../../../src/control/sweep-control.ts";
import { bindKernels } from "../../../src/kernels/kernels.ts";
import { PAGE_SIZES } from "../../helpers/arbitrary-regions.ts";
import { touchPages } from "../../helpers/kernel-twins.ts";

const WASM_PAGE_BYTES = 65_536;
const GIB4 = 2 ** 32;

function sharedMemory(pages: number) {
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const buffer = sharedBuffer(memory);
  return {
    bytes: new Uint8Array(buffer),
    control: new SweepControl(buffer),
    ...bindKernels(memory),
  };
}

const memory = sharedMemory(160);
const SIZE = memory.bytes.length;
/** The first page is the control page. */
const FIRST = WASM_PAGE_BYTES;

beforeEach(() => memory.control.reset());

const ranges = fc
  .tuple(fc.integer({ min: FIRST, max: SIZE }), fc.integer({ min: FIRST, max: SIZE }))
  .map(([a, b]) => ({ address: Math.min(a, b), byteLength: Math.abs(a - b) }));

const shortRanges = fc.record({
  address: fc.integer({ min: FIRST, max: SIZE - 40 * WASM_PAGE_BYTES }),
  byteLength: fc.integer({ min: 0, max: 40 * WASM_PAGE_BYTES }),
});

describe.each(PAGE_SIZES.slice(1))("touch_pages with pages of %d bytes", (pageBytes) => {
  test("sums the same bytes as its twin and counts every byte as progress", () => {
    for (let at = FIRST; at < SIZE; at++) memory.bytes[at] = (at * 2_654_435_761) >>> 24;
    fc.assert(
      fc.property(fc.oneof(ranges, shortRanges), ({ address, byteLength }) => {
        memory.control.reset();
        expect(memory.touch_pages(address, byteLength, pageBytes)).toBe(
          BigInt(touchPages(memory.bytes, address, byteLength, pageBytes)),
        );
        expect(memory.control.progress).toBe(byteLength);
      }),
      { numRuns: 500 },
    );
  });

  test("reads every page, whichever it is", () => {
    const pages = 130; // two looks at the cancel word and a ragged rest, in turns of eight
    const byteLength = Math.min(pages * pageBytes, SIZE - FIRST) - 1;
    memory.bytes.fill(0, FIRST);
    for (let page = 0; page * pageBytes < byteLength; page++) {
      const at = FIRST + page * pageBytes;
      memory.bytes[at] = 1;
      expect(memory.touch_pages(FIRST, byteLength, pageBytes), `page ${page}`).toBe(1n);
      memory.bytes[at] = 0;
    }
  });

  test("reads the page that a ragged end leaves over", () => {
    memory.bytes.fill(0, FIRST);
    // Starts in the middle of a page, so that the stride steps over the last one.
    const address = FIRST + pageBytes / 2;
    const byteLength = 2 * pageBytes + 1;
    memory.bytes[address + byteLength - 1] = 7;
    // It is both a stride's byte and the last one.
    expect(memory.touch_pages(address, byteLength, pageBytes)).toBe(14n);
    memory.bytes[address + byteLength] = 9;
    expect(memory.touch_pages(address, byteLength, pageBytes)).toBe(14n);
    memory.bytes[address + byteLength + 8] = 5;
    expect(memory.touch_pages(address, byteLength + 9, pageBytes)).toBe(12n);
  });
});

describe("touch_pages", () => {
  test("does nothing for no bytes", () => {
    memory.bytes.fill(255, FIRST);
    expect(memory.touch_pages(FIRST, 0, 4096)).toBe(0n);
    expect(memory.control.progress).toBe(0);
  });

  test("adds to the progress that is there", () => {
    memory.control.addProgress(1000);
    memory.touch_pages(FIRST, 300_000, 4096);
    expect(memory.control.progress).toBe(301_000);
  });

  test("touches nothing once the cancel word is set, and says so", () => {
    memory.control.cancel();
    expect(memory.touch_pages(FIRST, 1_000_000, 4096)).toBe(-1n);
    expect(memory.control.progress).toBe(0);
  });

  test("sums modulo 2^32 as an unsigned number", () => {
    memory.bytes.fill(255, FIRST);
    // A page of one byte: the sum of 9 MB of 255 is over 2^31.
    const byteLength = SIZE - FIRST;
    const sum = memory.touch_pages(FIRST, byteLength, 1);
    expect(sum).toBe(BigInt((255 * (byteLength + 1)) % GIB4));
    expect(sum).toBeGreaterThan(2n ** 31n);
  });

  test("ends at exactly the end of the memory", () => {
    memory.bytes.fill(0, FIRST);
    memory.bytes[SIZE - 1] = 3;
    expect(memory.touch_pages(SIZE - 10 * 4096, 10 * 4096, 4096)).toBe(3n);
    expect(() => memory.touch_pages(SIZE - 10 * 4096, 10 * 4096 + 1, 4096)).toThrow(
      WebAssembly.RuntimeError,
    );
  });

  test("ends at exactly 4 GiB, where addresses wrap", () => {
    const whole = sharedMemory(GIB4 / WASM_PAGE_BYTES);
    for (const [pageBytes, byteLength] of [
      [4096, 4096],
      [4096, 300 * 4096],
      [65_536, 65 * 65_536],
      [4096, 1],
      [4096, 4097],
    ] as const) {
      const address = GIB4 - byteLength;
      whole.bytes.fill(0, GIB4 - 65 * 65_536);
      for (let at = address; at < GIB4; at += pageBytes) whole.bytes[at] = 1;
      const strides = Math.ceil(byteLength / pageBytes);
      const last = whole.bytes[GIB4 - 1] ?? 0;
      whole.control.reset();
      expect(whole.touch_pages(address, byteLength, pageBytes)).toBe(BigInt(strides + last));
      expect(whole.control.progress).toBe(byteLength);
    }
  });
});
