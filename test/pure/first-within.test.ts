import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { firstWithin } from "../../src/hold/lock.ts";

const PAGE = 4096;
const region = (offset: number, byteLength: number) => ({ path: "/model", offset, byteLength });

describe("the regions that a limit on locked memory allows", () => {
  test("are all of them without a limit, and none with a limit of 0", () => {
    const regions = [region(0, PAGE), region(9 * PAGE, 1)];
    expect(firstWithin(regions, Number.POSITIVE_INFINITY, PAGE)).toEqual(regions);
    expect(firstWithin(regions, 0, PAGE)).toEqual([]);
  });

  test("are counted in whole pages", () => {
    const regions = [region(PAGE - 1, 2), region(9 * PAGE, 1)];
    expect(firstWithin(regions, 3 * PAGE, PAGE)).toHaveLength(2);
    expect(firstWithin(regions, 3 * PAGE - 1, PAGE)).toEqual([regions[0]]);
  });

  test("end within the one that the limit cuts", () => {
    const regions = [region(0, PAGE), region(9 * PAGE + 5, 100 * PAGE), region(0, PAGE)];
    const cut = region(9 * PAGE + 5, 7 * PAGE - 5);
    expect(firstWithin(regions, 8 * PAGE + 17, PAGE)).toEqual([regions[0], cut]);
    expect(firstWithin([region(PAGE - 1, 2)], PAGE, PAGE)).toEqual([region(PAGE - 1, 1)]);
  });

  test("are the first ones, as many as there can be", () => {
    const regions = fc.array(
      fc.tuple(fc.nat(100_000), fc.nat(50_000)).map(([offset, bytes]) => region(offset, bytes)),
    );
    fc.assert(
      fc.property(regions, fc.nat(400_000), (all, limit) => {
        const within = firstWithin(all, limit, PAGE);
        const pages = ({ offset, byteLength }: (typeof all)[number]) =>
          byteLength === 0
            ? 0
            : Math.floor((offset + byteLength - 1) / PAGE) - Math.floor(offset / PAGE) + 1;
        const bytes = (some: typeof all) => some.reduce((sum, each) => sum + PAGE * pages(each), 0);
        expect(bytes(within as typeof all)).toBeLessThanOrEqual(limit);
        expect(within.slice(0, -1)).toEqual(all.slice(0, Math.max(0, within.length - 1)));
        if (within.length === all.length && bytes(within as typeof all) === bytes(all)) return;
        // Not one page more would have fitted.
        expect(bytes(within as typeof all)).toBeGreaterThan(limit - PAGE);
      }),
    );
  });
});
