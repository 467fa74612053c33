import { PrefaultError } from "../errors.ts";
import { WorkerNotStarted } from "./pool.ts";
import type { ChosenStrategy, Strategy } from "./strategy.ts";

/** A strategy, and which threads follow it. */
export interface Attempt extends ChosenStrategy {
  /** Whether the calling thread reads, in place of worker threads. */
  readonly withoutWorkers?: boolean;
}

/**
 * How to go on after a way could not be begun; `null` when there is no other. Reading needs neither
 * address space for a mapping nor worker threads, so it is what is left where those cannot be had.
 *
 * A strategy that was asked for by name is not replaced by another one: it fails with its own code.
 */
export function nextAttempt(error: unknown, way: Attempt, asked: Strategy): Attempt | null {
  if (error instanceof WorkerNotStarted && way.withoutWorkers !== true) {
    const why = `read on the calling thread, because ${error.message}`;
    return asked === "auto" || asked === "read"
      ? { strategy: "read", why, withoutWorkers: true }
      : null;
  }
  const isUnmapped = PrefaultError.is(error) && error.code === "PREFAULT_MAP_FAILED";
  if (isUnmapped && asked === "auto" && way.strategy !== "read") {
    return { strategy: "read", why: `read, because ${error.message}` };
  }
  return null;
}
