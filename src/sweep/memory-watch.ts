import type { Shim } from "../../shims/index.ts";
import type { FileSource } from "../files.ts";
import { isMemoryShort } from "../memory/memory.ts";
import type { Stretch } from "./filler.ts";
import { Head } from "./head.ts";
import { Pressure } from "./pressure.ts";

/**
 * Looks, between two chunks of a lane, whether there is still memory for the next one: a sweep of
 * what does not fit would push out what it read first, and what others need.
 */
export class MemoryWatch {
  readonly #head: Head;
  readonly #pressure = new Pressure();

  constructor(files: readonly FileSource[], shim: Shim) {
    this.#head = new Head(files, shim);
  }

  /** A chunk of this lane is resident. */
  filled(stretch: Stretch): void {
    this.#head.add(stretch);
  }

  /** Why the sweep should stop; `null` when it should not. Takes some microseconds. */
  look(): string | null {
    const gone = this.#head.look();
    // Pages also go where there is plenty: a system may page out what it takes for idle (DAMON).
    if (gone !== null && isMemoryShort()) return gone;
    return this.#pressure.look();
  }
}
