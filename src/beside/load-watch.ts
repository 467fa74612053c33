import { loadShim } from "../../shims/index.ts";
import { isInArena } from "../arena/arena.ts";
import { TurnWord } from "../control/turn-word.ts";
import { type EngineTurns, Turns } from "./turns.ts";

/** Between two looks whether a file is mapped. A look takes about a millisecond, and longer with many files. */
const LOOK_MS = 100;

/** Looks take at most this share of the time. */
const SHARE = 0.1;

/**
 * Looks whether an engine in this process loads the files that a sweep fills, and lets both read in turns then. It is
 * seen by a mapping that does not lie in one of this thread's arenas: also one of another thread's sweep, or of a lock,
 * which costs no more than the time to listen for what it reads.
 *
 * Linux only: other systems do not tell. Nor is an engine seen on btrfs and overlay, where `/proc` shows another
 * device than the file has.
 */
export class LoadWatch implements EngineTurns {
  readonly word = new TurnWord();
  readonly #paths: readonly string[];
  #turns: Turns | null = null;
  #looking: Promise<void> | null = null;
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

  /** One look at a time: two could start turns twice, of which one would never be stopped. */
  #look(): Promise<void> {
    this.#looking ??= this.#lookOnce().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async #lookOnce(): Promise<void> {
    clearTimeout(this.#timer);
    const started = performance.now();
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
    const tookMs = performance.now() - started;
    this.#timer = setTimeout(() => void this.#look(), Math.max(LOOK_MS, tookMs / SHARE));
    this.#timer.unref();
  }

  /** @returns `null` where the system does not tell */
  async #isMapped(): Promise<boolean | null> {
    const shim = await loadShim();
    const mappings = await shim.findMappings(this.#paths).catch(() => []);
    return mappings?.some(({ address }) => !isInArena(address)) ?? null;
  }
}
