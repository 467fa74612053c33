import { describeValue } from "../describe.ts";
import { PrefaultError } from "../errors.ts";
import { mergePages } from "./merge.ts";
import { RangeList, type RangeTable } from "./range-table.ts";
import type { AddressRegion } from "./region.ts";

/**
 * Merges ranges of this process's memory into whole pages: sorted, without overlap or neighbours. Null and
 * empty regions are left out.
 *
 * @throws {@link PrefaultError} `PREFAULT_INVALID_OPTION` for an impossible address or length
 */
export function mergeAddresses(
  regions: readonly AddressRegion[],
  pageBytes: number,
): { bytes: number; ranges: RangeTable } {
  const list = new RangeList();
  for (const { address, byteLength } of regions) {
    expectMemory(address, byteLength);
    if (address !== 0n && byteLength > 0) list.push(Number(address), byteLength);
  }
  return mergePages(list.words, pageBytes);
}

function expectMemory(address: unknown, byteLength: unknown): void {
  const isLength = Number.isSafeInteger(byteLength) && (byteLength as number) >= 0;
  const isAddress = typeof address === "bigint" && address >= 0n;
  const end = Number(isAddress ? address : 0n) + Number(isLength ? byteLength : 0);
  if (isLength && isAddress && Number.isSafeInteger(end)) return;
  throw new PrefaultError(
    "PREFAULT_INVALID_OPTION",
    `no memory has ${describeValue(byteLength)} bytes at address ${describeValue(address)}`,
  );
}
