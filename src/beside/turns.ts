import { processTree } from "../hold/process-tree.ts";
import { readBytesOf } from "./activity.ts";
import { Pace, STEP_MS } from "./pace.ts";

/** Lets an engine and a sweep beside it read in turns, as {@link Pace} says. */
export class Turns {
  /** One word that the sweep's workers look at: 0 while they must wait. */
  readonly mayRead = new Int32Array(new SharedArrayBuffer(4)).fill(1);
  readonly #pace = new Pace();
  readonly #pid: number;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  /**
   * @param pid of the engine, or of what started it
   * @returns `null` where the system does not tell what a process reads
   */
  static async start(pid: number): Promise<Turns | null> {
    const turns = new Turns(pid);
    return (await turns.#look()) ? turns : null;
  }

  private constructor(pid: number) {
    this.#pid = pid;
  }

  /** Lets the workers go on. */
  stop(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#allow(true);
  }

  async #look(): Promise<boolean> {
    const processes = new Set([...(await this.#engine()), process.pid]);
    const bytes = await readBytesOf([...processes]);
    if (bytes === null || this.#isOver) return false;
    const step = this.#pace.look(bytes, performance.now());
    this.#allow(step === "read");
    this.#timer = setTimeout(() => void this.#look(), STEP_MS[step]);
    this.#timer.unref();
    return true;
  }

  /** The load of a library runs in this very process. */
  async #engine(): Promise<readonly number[]> {
    return this.#pid === process.pid ? [] : processTree(this.#pid);
  }

  #allow(mayRead: boolean): void {
    Atomics.store(this.mayRead, 0, mayRead ? 1 : 0);
    if (mayRead) Atomics.notify(this.mayRead, 0);
  }
}
