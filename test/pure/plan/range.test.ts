import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pagesOf } from "../../../src/plan/range.ts";
import { PAGE_SIZES } from "../../helpers/arbitrary-regions.ts";
import { mergeRegions } from "../../helpers/kernel-twins.ts";

describe("pagesOf", () => {
  test.each(PAGE_SIZES)("agrees with the merge of a single range on pages of %d bytes", (page) => {
    const offset = fc.integer({ min: 0, max: 2 ** 50 });
    const byteLength = fc.oneof(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 2 ** 40 }),
    );
    fc.assert(
      fc.property(offset, byteLength, (at, length) => {
        const pages = pagesOf({ offset: at, byteLength: length }, page);
        const [merged] = mergeRegions([{ offset: BigInt(at), byteLength: BigInt(length) }], page);
        expect(BigInt(pages.offset)).toBe(merged?.offset);
        expect(BigInt(pages.byteLength)).toBe(merged?.byteLength);
      }),
    );
  });

  test("are none for a range of no length", () => {
    expect(pagesOf({ offset: 5000, byteLength: 0 }, 4096).byteLength).toBe(0);
  });
});
