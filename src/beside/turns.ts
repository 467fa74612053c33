import { TurnWord } from "../control/turn-word.ts";
import { processTree } from "../hold/process-tree.ts";
import { readBytesOf } from "./activity.ts";
import { Pace } from "./pace.ts";

/** How a sweep is told of an engine that reads the same files. */
export interface EngineTurns {
  readonly word: TurnWord;
  /** Whether an engine has mapped one of them now. */
  isBeside(): Promise<boolean>;
}

/** Lets an engine and a sweep beside it read in turns, as {@link Pace} says. */
export class Turns implements EngineTurns {
  readonly word: TurnWord;
  readonly #pace = new Pace();
  readonly #pid: number;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  /**
   * @param pid of the engine, or of what started it
   * @returns `null` where the system does not tell what a process reads
   */
  static async start(pid: number, word = new TurnWord()): Promise<Turns | null> {
    const turns = new Turns(pid, word);
    return (await turns.#look()) ? turns : null;
  }

  private constructor(pid: number, word: TurnWord) {
    this.#pid = pid;
    this.word = word;
  }

  async isBeside(): Promise<boolean> {
    return true;
  }

  /** Lets the sweep go on, as where no engine reads. */
  stop(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.word.turn = "alone";
  }

  async #look(): Promise<boolean> {
    const processes = new Set([...(await this.#engine()), process.pid]);
    const bytes = await readBytesOf([...processes]);
    if (this.#isOver) return false;
    if (bytes === null) {
      // Without descriptors to spare nothing can be told any more.
      this.stop();
      return false;
    }
    const { step, ms } = this.#pace.look(bytes, performance.now());
    this.word.turn = step === "read" ? "beside" : "wait";
    this.#timer = setTimeout(() => void this.#look(), ms);
    this.#timer.unref();
    return true;
  }

  /** The load of a library runs in this very process. */
  async #engine(): Promise<readonly number[]> {
    return this.#pid === process.pid ? [] : processTree(this.#pid);
  }
}
