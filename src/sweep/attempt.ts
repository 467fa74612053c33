import { PrefaultError } from "../errors.ts";
import { PopulateHung } from "./hanging-populate.ts";
import { WorkerNotStarted } from "./pool.ts";
import type { ChosenStrategy, Strategy } from "./strategy.ts";

/** A strategy, and whether worker threads carry it out. */
export interface Attempt extends ChosenStrategy {
  /** Whether the calling thread reads, in place of worker threads. */
  readonly withoutWorkers?: boolean;
}

/**
 * The attempt to make after one that could not be started, or that hung; `null` when there is none. Reading
 * needs neither addresses for a mapping nor worker threads, so it is tried where those cannot be had. It also
 * gets an error of a device where a populate hangs, and passes over the page if it is asked to.
 *
 * A strategy that the caller asked for is not replaced by another: the sweep then fails with its error.
 */
export function nextAttempt(error: unknown, failed: Attempt, asked: Strategy): Attempt | null {
  if (error instanceof WorkerNotStarted && failed.withoutWorkers !== true) {
    const why = `read on the calling thread, because ${error.message}`;
    return asked === "auto" || asked === "read"
      ? { strategy: "read", why, withoutWorkers: true }
      : null;
  }
  if (error instanceof PopulateHung && asked === "auto") {
    return {
      strategy: "read",
      why: "read, because this kernel does not end a populate that fails",
    };
  }
  const isUnmapped = PrefaultError.is(error) && error.code === "PREFAULT_MAP_FAILED";
  if (isUnmapped && asked === "auto" && failed.strategy !== "read") {
    return { strategy: "read", why: `read, because ${error.message}` };
  }
  return null;
}
