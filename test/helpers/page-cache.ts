import { evict, type FileRegion, residency } from "prefault";
import { expect } from "vitest";

/**
 * What of a file may be resident or not against expectation: a system that pages out idle memory in
 * the background (DAMON) evicts some at any time (2.9 % were seen gone within seconds), and another
 * reader's read-ahead can bring pages back.
 */
export const TOLERANCE = 0.05;

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
  expect(await residentShare(...regions)).toBeGreaterThan(1 - TOLERANCE);
}

/** Whole pages of `bytes`, give or take what the system does on its own. */
export function expectNearly(bytes: number | null, expected: number): void {
  expect(bytes).toBeGreaterThan(expected * (1 - TOLERANCE));
  expect(bytes).toBeLessThan(expected * (1 + TOLERANCE) + 65_536);
}
