import type { Shim } from "../../shims/index.ts";
import { formatBytes } from "../units.ts";
import { availableBytes } from "./memory.ts";

/** What a budget leaves to an engine and to others. */
export interface Reserve {
  /** Bytes that have to stay available. */
  readonly bytes: number;
  /** Bytes that were filled within the same budget before this sweep. */
  readonly filledBytes: number;
}

/**
 * Time between two looks: each reads `/proc/meminfo` and the files of the cgroups. A fast device fills half of
 * what was left in less, and is looked at again then.
 */
const LOOK_MS = 100;

/** Bytes between two looks at least: not more than a worker fills in one call anyway. */
const LEAST_BYTES = 2 * 1024 ** 2;

/**
 * Looks whether the memory that a budget leaves is still there. Other programs may take some of it after the
 * budget was computed. Pages that were filled count as available, since they can be evicted; to go on until
 * nothing else is available would evict them.
 */
export class ReserveWatch {
  readonly #reserve: Reserve;
  readonly #available: (residentBytes: number) => number;
  readonly #now: () => number;
  #lookedMs = Number.NEGATIVE_INFINITY;
  /** Bytes of the sweep at which the next look is due, whatever the time. */
  #nextBytes = 0;

  /** @param available bytes, and @param now a clock in milliseconds; tests give their own */
  constructor(
    reserve: Reserve,
    shim: Pick<Shim, "memory">,
    available = (residentBytes: number) => availableBytes(residentBytes, shim.memory()),
    now = () => performance.now(),
  ) {
    this.#reserve = reserve;
    this.#available = available;
    this.#now = now;
  }

  /** @param sweptBytes bytes of this sweep so far @returns the reason to stop the sweep, or `null` */
  look(sweptBytes: number): string | null {
    const now = this.#now();
    if (now - this.#lookedMs < LOOK_MS && sweptBytes < this.#nextBytes) return null;
    this.#lookedMs = now;
    const filledBytes = this.#reserve.filledBytes + sweptBytes;
    const left = Math.max(0, this.#available(filledBytes) - filledBytes);
    const spare = left - this.#reserve.bytes;
    this.#nextBytes = sweptBytes + Math.max(LEAST_BYTES, spare / 2);
    if (spare >= 0) return null;
    return (
      `${formatBytes(left)} are available beside what was read, ` +
      `and the budget leaves ${formatBytes(this.#reserve.bytes)} to others`
    );
  }
}
