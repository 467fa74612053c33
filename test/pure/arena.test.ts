import { describe, expect, test } from "vitest";
import type { Shim } from "../../shims/index.ts";
import { portableShim } from "../../shims/portable.ts";
import { Arena } from "../../src/arena/arena.ts";
import { ARENA_BYTES, layOut, PMD_BYTES } from "../../src/arena/layout.ts";

const MIB = 1024 ** 2;
const FOLIO = BigInt(PMD_BYTES);

/** A system whose memories lie where they are said to, and that only notes what it is asked. */
function notingShim(base: bigint, failAt = Number.POSITIVE_INFINITY) {
  const calls: string[] = [];
  const placed: { address: bigint; byteLength: number; offset: number }[] = [];
  const shim: Shim = {
    ...portableShim(),
    addressOf: () => base,
    place(address, byteLength, _, offset) {
      calls.push(`place ${address} ${byteLength}`);
      if (placed.length >= failAt) throw new Error("no");
      placed.push({ address, byteLength, offset });
    },
    restore(address, byteLength) {
      calls.push(`restore ${address} ${byteLength}`);
    },
  };
  return { shim, calls, placed };
}

const { extents } = layOut([
  [{ offset: 3 * MIB, byteLength: MIB }],
  [{ offset: 5 * MIB, byteLength: ARENA_BYTES - 20 * MIB }],
]);

// V8 aligns memories to 64 KiB: the base may lie anywhere in a folio.
describe.each([0n, 65_536n, FOLIO / 2n, FOLIO - 65_536n])(
  "an arena %d bytes into a folio",
  (within) => {
    const base = 7n * 2n ** 40n + within;

    test("places extents so that address and file offset agree modulo a folio", () => {
      const { shim, placed } = notingShim(base);
      const arena = new Arena(shim);
      for (const extent of extents) arena.place(extent, 3);
      expect(placed).toHaveLength(extents.length);
      for (const { address, offset } of placed) {
        expect(address % FOLIO).toBe(BigInt(offset) % FOLIO);
      }
    });

    test("places them clear of the control page and within the memory", () => {
      const { shim, placed } = notingShim(base);
      const arena = new Arena(shim);
      for (const extent of extents) arena.place(extent, 3);
      for (const { address, byteLength } of placed) {
        expect(address).toBeGreaterThanOrEqual(base + 65_536n);
        expect(address + BigInt(byteLength)).toBeLessThanOrEqual(base + BigInt(ARENA_BYTES));
      }
    });

    test("restores what it placed, last first, also when the last one failed, and once", () => {
      const { shim, calls } = notingShim(base, 1);
      const arena = new Arena(shim);
      expect(() => {
        for (const extent of extents) arena.place(extent, 3);
      }).toThrow("no");
      const placing = calls.splice(0);
      arena.restore();
      arena.restore();
      expect(calls).toEqual(placing.map((call) => call.replace("place", "restore")).reverse());
    });
  },
);
