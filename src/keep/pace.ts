/** Looks between two fills of what the system does not tell of: a minute, as often as it usually looks. */
const LOOKS = 30;

/** A fill of what is still there takes no more than this share of the time. */
const SHARE = 0.01;

/** Its cost makes a fill no rarer than this; a longer `everyMs` does. */
const MOST_REST_MS = 600_000;

/**
 * When to fill again what the system does not tell of, whether it is missing or not. Of what is still there a GiB
 * takes 7 to 30 ms (bench `warm`), and several hundred where the file cannot be mapped. The shortest fill yet is
 * taken for that: one that reads from the disk takes longer.
 */
export class Pace {
  readonly #leastRestMs: number;
  readonly #now: () => number;
  #leastMs = Number.POSITIVE_INFINITY;
  #dueMs: number;

  /** @param now a clock in milliseconds; tests give their own */
  constructor(everyMs: number, now = () => performance.now()) {
    this.#leastRestMs = LOOKS * everyMs;
    this.#now = now;
    this.#dueMs = now() + this.#leastRestMs;
  }

  get isDue(): boolean {
    return this.#now() >= this.#dueMs;
  }

  /** Of a fill that has just ended. @param ms that it took */
  took(ms: number): void {
    this.#leastMs = Math.min(this.#leastMs, ms);
    const restMs = Math.min(MOST_REST_MS, this.#leastMs / SHARE);
    this.#dueMs = this.#now() + Math.max(this.#leastRestMs, restMs);
  }
}
