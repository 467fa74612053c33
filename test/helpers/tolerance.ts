import { expect } from "vitest";

/**
 * What of a file may be resident or not against expectation: a system that pages out idle memory in
 * the background (DAMON) evicts some at any time (2.9 % were seen gone within seconds), and another
 * reader's read-ahead can bring pages back.
 */
export const TOLERANCE = 0.05;

/**
 * For tests that look at what is resident: now and then the system takes away more than that under a
 * test's hands, and a second look tells it from a defect. Only those of {@link startsBelowWine} may be tried
 * again as well.
 */
export const looksAtPageCache = { retry: 2 } as const;

/**
 * For tests in which a program below Wine starts another: of some 250 such starts two failed, each in its own way
 * (a file that was not found to be executable, a Node that ended with 1); no start on Linux did.
 */
export const startsBelowWine = { retry: 2 } as const;

/** So much of `bytes` as must be resident after they were made resident. */
export function mostOf(bytes: number): number {
  return bytes * (1 - TOLERANCE);
}

/** Whole pages of `bytes`, give or take what the system does on its own. */
export function expectNearly(bytes: number | null, expected: number): void {
  expect(bytes).toBeGreaterThan(mostOf(expected));
  expect(bytes).toBeLessThan(expected * (1 + TOLERANCE) + 65_536);
}
