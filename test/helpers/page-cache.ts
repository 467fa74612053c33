import { evict, type FileRegion, residency } from "prefault";
import { expect } from "vitest";
import { mostOf, TOLERANCE } from "./tolerance.ts";

/** Drops files from the page cache, and looks that they are gone. */
export async function evictAll(...paths: string[]): Promise<void> {
  let share = 1;
  for (let round = 0; round < 100 && share > TOLERANCE; round++) {
    const { bytes, residentBytesAfter } = await evict(paths.map((path) => ({ path })));
    share = (residentBytesAfter ?? 0) / bytes;
  }
  expect(share, "evicted").toBeLessThanOrEqual(TOLERANCE);
}

/** The share of the regions that is in the page cache. */
export async function residentShare(...regions: FileRegion[]): Promise<number> {
  const { residentBytes, bytes } = await residency(regions);
  return (residentBytes ?? Number.NaN) / bytes;
}

export async function expectResident(...regions: FileRegion[]): Promise<void> {
  expect(await residentShare(...regions)).toBeGreaterThan(mostOf(1));
}
