import { loadShim } from "../../shims/index.ts";
import { isInArena } from "../arena/arena.ts";
import { TurnWord } from "../control/turn-word.ts";
import { type EngineTurns, Turns } from "./turns.ts";

/** Between two looks whether a file is mapped, which take about a millisecond each. */
const LOOK_MS = 100;

/**
 * Looks whether an engine in this process loads the files that a sweep fills, which is seen by mappings that are
 * not this package's own, and lets both read in turns then. On Linux only: other systems do not tell.
 */
export class LoadWatch implements EngineTurns {
  readonly word = new TurnWord();
  readonly #paths: readonly string[];
  #turns: Turns | null = null;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  /** @param paths of the files; nothing is looked at before {@link isBeside} is asked */
  constructor(paths: Iterable<string>) {
    this.#paths = [...new Set(paths)];
  }

  async isBeside(): Promise<boolean> {
    await this.#look();
    return this.#turns !== null;
  }

  /** Lets the sweep go on, and looks no more. */
  stop(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#turns?.stop();
  }

  async #look(): Promise<void> {
    clearTimeout(this.#timer);
    const isMapped = await this.#isMapped();
    if (this.#isOver || isMapped === null) return;
    if (!isMapped) {
      this.#turns?.stop();
      this.#turns = null;
    } else if (this.#turns === null) {
      const turns = await Turns.start(process.pid, this.word);
      if (this.#isOver) return turns?.stop();
      this.#turns = turns;
    }
    this.#timer = setTimeout(() => void this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  /** @returns `null` where the system does not tell */
  async #isMapped(): Promise<boolean | null> {
    const shim = await loadShim();
    for (const path of this.#paths) {
      const mappings = await shim.findMappings(path).catch(() => []);
      if (mappings === null) return null;
      if (mappings.some(({ address }) => !isInArena(address))) return true;
    }
    return false;
  }
}
