/** What a look at the bytes that were read leads to. */
export type Step =
  /** Read on, and look again later. */
  | "read"
  /** Read nothing for a moment, to see what the engine reads by itself. */
  | "listen"
  /** The engine keeps the device busy: read nothing until it reads less. */
  | "stand back";

/** How long each step takes before the next look, in milliseconds. */
const STEP_MS: Readonly<Record<Step, number>> = {
  read: 300,
  listen: 100,
  "stand back": 200,
};

/**
 * An engine that was idle that often in a row has loaded what it needs, or waits for something else: from then on
 * listening takes a thirteenth of the time in place of a quarter.
 */
const IDLE_LOOKS = 3;
const IDLE_READ_MS = 1200;

/**
 * So many looks in a row it stands back before it reads once more, to compare anew, and twice as many each further time:
 * what keeps the device busy may be something else that this process reads, and have no end.
 */
const FIRST_PATIENCE = 10;
const MOST_PATIENCE = 40;

/** Reading together has to be faster than the engine alone by so much. */
const WORTH = 1.15;

/** With less than this share of the rate of both the engine is not reading. */
const IDLE = 0.1;

/**
 * Decides whether to read beside an engine that reads the same files. Where the engine alone keeps the device
 * busy, reading beside it gains nothing and takes a processor from it; where the engine waits for the
 * device between two small requests, or does something else, the device is free.
 *
 * So the rate of both together is compared with the engine's own, while this program reads nothing.
 */
export class Pace {
  #step: Step = "read";
  #last: { readonly ms: number; readonly bytes: number } | undefined;
  /** Bytes a millisecond, when both read. */
  #together = 0;
  /** How often in a row the engine was heard to read nothing. */
  #idle = 0;
  /** How often in a row it stood back, and how often it does. */
  #standing = 0;
  #patience = FIRST_PATIENCE;

  /**
   * To be called when a step is over.
   *
   * @param bytes that both have read so far, @param ms on any clock
   * @returns what to do next, and for how many milliseconds
   */
  look(bytes: number, ms: number): { readonly step: Step; readonly ms: number } {
    const last = this.#last;
    this.#last = { ms, bytes };
    if (last !== undefined) {
      this.#step = this.#next((bytes - last.bytes) / Math.max(ms - last.ms, 1));
    }
    const isLong = this.#step === "read" && this.#idle >= IDLE_LOOKS;
    return { step: this.#step, ms: isLong ? IDLE_READ_MS : STEP_MS[this.#step] };
  }

  #next(rate: number): Step {
    if (this.#step === "read") {
      this.#together = rate;
      return "listen";
    }
    const isIdle = rate <= IDLE * this.#together;
    this.#idle = isIdle ? this.#idle + 1 : 0;
    if (isIdle) this.#patience = FIRST_PATIENCE;
    if (isIdle || this.#standing >= this.#patience) {
      if (!isIdle) this.#patience = Math.min(2 * this.#patience, MOST_PATIENCE);
      this.#standing = 0;
      return "read";
    }
    if (this.#step === "listen" && this.#together >= WORTH * rate) return "read";
    this.#standing += 1;
    return "stand back";
  }
}
