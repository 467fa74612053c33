import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { cutChunks, type Region } from "../../helpers/kernel-twins.ts";
import {
  KERNEL_KINDS,
  REGION_BYTES,
  RegionMemory,
  UNTOUCHED,
} from "../../helpers/region-memory.ts";

describe.each(KERNEL_KINDS)("in %s", (kind) => {
  const memory = new RegionMemory(kind);
  beforeEach(() => memory.clear());

  const AT = 256;
  const CHUNKS = 65_536;

  function cutInMemory(regions: readonly Region[], chunkBytes: number, capacity: number) {
    memory.store(AT, regions);
    const count = memory.kernels.cut_chunks(AT, regions.length, CHUNKS, capacity, chunkBytes);
    return { count, written: memory.load(CHUNKS, Math.min(count, capacity)) };
  }

  const CHUNK_SIZES = [65_536, 2 ** 20, 32 * 2 ** 20, 2 ** 30, 2 ** 31] as const;

  /** A few chunks' worth, at any offset up to 2^53, with ragged ends. */
  const regionsFor = (chunkBytes: number) =>
    fc.array(
      fc.record({
        offset: fc.oneof(
          fc.bigInt({ min: 0n, max: 2n ** 53n }),
          fc.bigInt({ min: 2n ** 32n - 10n, max: 2n ** 32n + 10n }),
          fc.bigInt({ min: 0n, max: 100n }).map((index) => index * BigInt(chunkBytes)),
        ),
        byteLength: fc.oneof(
          fc.bigInt({ min: 0n, max: 3n * BigInt(chunkBytes) }),
          fc.bigInt({ min: 0n, max: 3n }).map((chunks) => chunks * BigInt(chunkBytes)),
        ),
      }),
      { maxLength: 20 },
    );

  describe.each(CHUNK_SIZES)("cut_chunks at %d bytes", (chunkBytes) => {
    test("agrees with its twin", () => {
      fc.assert(
        fc.property(regionsFor(chunkBytes), (regions) => {
          const chunks = cutChunks(regions, chunkBytes);
          expect(cutInMemory(regions, chunkBytes, 1000)).toEqual({
            count: chunks.length,
            written: chunks,
          });
        }),
        { numRuns: 300 },
      );
    });

    test("covers every byte once, with no chunk longer than asked or across the grid", () => {
      const grid = BigInt(chunkBytes);
      fc.assert(
        fc.property(regionsFor(chunkBytes), (regions) => {
          const { written } = cutInMemory(regions, chunkBytes, 1000);
          const chunks = written.values();
          for (const { offset, byteLength } of regions) {
            for (let at = offset; at < offset + byteLength; ) {
              const chunk = chunks.next().value;
              expect(chunk?.offset).toBe(at);
              const last = at + (chunk?.byteLength ?? 0n) - 1n;
              expect(last / grid).toBe(at / grid);
              at = last + 1n;
            }
          }
          expect(chunks.next().done).toBe(true);
        }),
      );
    });
  });

  describe("cut_chunks without enough room", () => {
    const region = [{ offset: 65_536n, byteLength: 5n * 65_536n }];

    test("counts all and writes what fits", () => {
      const { count, written } = cutInMemory(region, 65_536, 2);
      expect(count).toBe(5);
      expect(written).toEqual(cutChunks(region, 65_536).slice(0, 2));
      expect(memory.load(CHUNKS + 2 * REGION_BYTES, 3)).toEqual([UNTOUCHED, UNTOUCHED, UNTOUCHED]);
    });

    test("only counts when there is none", () => {
      expect(cutInMemory(region, 65_536, 0)).toEqual({ count: 5, written: [] });
      expect(memory.load(CHUNKS, 1)).toEqual([UNTOUCHED]);
    });
  });
});
